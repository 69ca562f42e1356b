"""The peer: docker-compose with a project of its own."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time


class Compose:
    """A compose project of so many services of one container each; a context
    manager that takes it down."""

    def __init__(self, image, services):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="hades-bench."))
        service = {"image": image, "restart": "unless-stopped"}
        project = {
            "version": "2.4",
            "services": {f"s{n:03}": service for n in range(services)},
        }
        (self._folder / "docker-compose.yml").write_text(json.dumps(project))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run("down", "--timeout", "2")
        shutil.rmtree(self._folder)

    def _run(self, *arguments):
        # 100 containers take more than the 60 s that it gives a call by default
        # when the machine is busy.
        command = ["docker-compose", "--project-name", "peer", *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, timeout=600
        )
        if done.returncode != 0:
            raise RuntimeError(f"docker-compose {' '.join(arguments)}: {done.stderr}")

    def up(self):
        """Seconds that `docker-compose up -d` takes."""
        started = time.perf_counter()
        self._run("up", "-d")
        return time.perf_counter() - started
