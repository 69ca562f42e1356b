"""The peer: docker-compose with a project of its own."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time

PROJECT = "peer"
LIMIT_SECONDS = 120
TRIES = 3


class Compose:
    """A compose project of so many services of one container each; a context
    manager that takes it down."""

    def __init__(self, engine, image, services):
        self._engine = engine
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
        self._engine.remove_all(f"com.docker.compose.project={PROJECT}")
        shutil.rmtree(self._folder)

    def _run(self, *arguments):
        command = ["docker-compose", "--project-name", PROJECT, *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
        if done.returncode != 0:
            raise RuntimeError(f"docker-compose {' '.join(arguments)}: {done.stderr}")

    def up(self):
        """Seconds that `docker-compose up -d` takes. Its threads now and then wait
        for one another for ever, so it gets another try; only the last one counts."""
        for _ in range(TRIES):
            started = time.perf_counter()
            try:
                self._run("up", "-d")
            except subprocess.TimeoutExpired:
                continue
            return time.perf_counter() - started
        raise RuntimeError(f"docker-compose up -d didn't end, {TRIES} times")
