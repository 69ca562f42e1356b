//! `hack/install.sh` on a machine of its own, under a real systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::hades::{eventually, testbed};

const CERTIFICATE: &str = "/var/lib/hades/ca.crt";

/// A booted machine, with what a release holds in /opt/release.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn boot() -> Self {
        // An overlay can't lie on another one, which a temporary folder may be on.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let machine = Self { folder };
        let output = machine.systemd("start", &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let programs = Path::new(env!("CARGO_BIN_EXE_hades")).parent().unwrap();
        let hack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack");
        machine.put(&hack.join("install.sh"), "install.sh");
        machine.put(&hack.join("systemd/hades.service"), "systemd/hades.service");
        for program in ["hades", "hadesctl"] {
            machine.put(&programs.join(program), &format!("bin/{program}"));
        }
        machine
    }

    fn put(&self, from: &Path, to: &str) {
        let to = self.inside("/opt/release").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }

    /// Where a path of the machine is.
    fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    fn systemd(&self, action: &str, command: &[&str]) -> Output {
        Command::new(testbed("systemd.sh"))
            .arg(action)
            .arg(self.folder.path())
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn try_run(&self, line: &str) -> Output {
        self.systemd("run", &["sh", "-c", line])
    }

    fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = || {
            let log = self.try_run("journalctl --no-pager -u hades | tail -n 40");
            String::from_utf8_lossy(&log.stdout).into_owned()
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}{errors}\n{}", log());
        said
    }

    fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show hades --property {name} --value")).trim().to_owned()
    }

    /// A line of the service's own /proc/PID/status.
    fn status(&self, name: &str) -> String {
        let pid = self.property("MainPID");
        let line = self.run(&format!("grep ^{name}: /proc/{pid}/status"));
        line.split_once(':').unwrap().1.split_whitespace().next().unwrap().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.systemd("remove", &[]);
    }
}

fn password(said: &str) -> &str {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("password: "));
    line.unwrap_or_else(|| panic!("no first login: {said}"))
}

#[test]
fn a_bare_machine_gets_a_service_and_a_first_login() {
    let machine = Machine::boot();
    let said = machine.run("/opt/release/install.sh --bin /opt/release/bin 2>&1");
    let first = password(&said);

    // What was printed lets one in, from a home that knows nothing yet.
    machine.run(&format!(
        "mkdir -p /root/new && cd /root/new && printf '%s\\n' '{first}' | HOME=/root/new \
         KUBECONFIG=/root/new/config hadesctl login https://127.0.0.1:7443 --user admin \
         --ca-file {CERTIFICATE}"
    ));
    let who = machine.run("KUBECONFIG=/root/new/config hadesctl whoami");
    assert!(who.contains("admin") && who.contains("hades:administrators"), "{who}");

    // It is a user of its own without any privilege, and behind the unit's walls.
    let uid = machine.run("id -u hades").trim().to_owned();
    assert_eq!((machine.status("Uid"), machine.status("Gid")), (uid, machine.status("Gid")));
    assert_ne!(machine.status("Uid"), "0");
    assert_eq!(machine.status("CapBnd"), "0000000000000000");
    assert_eq!((machine.status("NoNewPrivs"), machine.status("Seccomp")), ("1".into(), "2".into()));
    machine.run("systemd-analyze security --no-pager --threshold=20 hades");
    assert_eq!(machine.run("stat -c '%U %a' /var/lib/hades").trim(), "hades 700");
    assert_eq!(machine.run("stat -c '%U %a' /var/lib/hades/first-login").trim(), "hades 600");

    // A crash is no end.
    let before = machine.property("MainPID");
    machine.run(&format!("kill -KILL {before}"));
    eventually("the service to come back", || {
        let state = (machine.property("ActiveState"), machine.property("MainPID"));
        if state.0 == "active" && state.1 != before { Ok(()) } else { Err(state) }
    });
    machine.run("KUBECONFIG=/root/new/config hadesctl get users");

    // Root gets a backup from it, and restores that as docs/backup.md says.
    let key = machine.run("hades backup keygen /root/backup.key").trim().to_owned();
    machine.run(&format!("hades backup /root/hades.age --recipient {key}"));
    machine.run("systemctl stop hades && mv /var/lib/hades /root/lost");
    machine.run(
        "hades restore /root/hades.age --data-dir /var/lib/hades --identity-file /root/backup.key \
         && chown -R hades:hades /var/lib/hades \
         && runuser -u hades -- hades store adopt --data-dir /var/lib/hades",
    );
    machine.run("systemctl start hades");
    machine.run("KUBECONFIG=/root/new/config hadesctl get users");
    let recovered = machine.run("hades user recover admin");
    assert_ne!(password(&recovered), first);
}

#[test]
fn an_upgrade_keeps_data_and_settings_and_a_removal_keeps_the_data() {
    let machine = Machine::boot();
    let install = "/opt/release/install.sh --bin /opt/release/bin";
    let said =
        machine.run(&format!("{install} --listen 127.0.0.1:8443 --tls-san hades.example.com"));
    let first = password(&said).to_owned();
    assert!(said.contains("hadesctl login https://127.0.0.1:8443 --user admin"), "{said}");
    let administrator = "KUBECONFIG=/var/lib/hades/admin.kubeconfig";
    machine.run(&format!("echo correct-horse-battery | {administrator} hadesctl user create jane"));
    machine.run("echo HADES_LOG=debug >>/etc/hades/hades.env");
    let before = machine.property("MainPID");
    let programs = machine.run("stat -c %i /usr/local/bin/hades");

    let said = machine.run(&format!("{install} --tls-san hades.example.org"));
    assert_eq!(password(&said), first);
    assert!(said.contains("https://127.0.0.1:8443"), "{said}");
    let settings = machine.run("cat /etc/hades/hades.env");
    assert!(settings.contains("HADES_LOG=debug"), "they are the administrator's: {settings}");
    assert_ne!(machine.property("MainPID"), before, "the new program runs");
    assert_ne!(machine.run("stat -c %i /usr/local/bin/hades"), programs);
    let users = machine.run(&format!("{administrator} hadesctl get users"));
    assert!(users.contains("jane"), "{users}");
    let names = machine.run(
        "echo | openssl s_client -connect 127.0.0.1:8443 2>/dev/null | openssl x509 -noout -ext \
         subjectAltName",
    );
    for name in ["hades.example.com", "hades.example.org"] {
        assert!(names.contains(name), "{names}");
    }

    let said = machine.run("/opt/release/install.sh --uninstall");
    assert!(said.contains("/var/lib/hades"), "{said}");
    assert!(!machine.try_run("systemctl cat hades").status.success());
    machine.run("test ! -e /usr/local/bin/hades && test -e /var/lib/hades/installation-id");
    machine.run("test -e /etc/hades/hades.env");

    // What it kept is found again.
    machine.run(install);
    let users = machine.run(&format!("{administrator} hadesctl get users"));
    assert!(users.contains("jane"), "{users}");
}

#[test]
fn a_file_system_root_is_prepared_without_starting_anything() {
    let root = TempDir::new().unwrap();
    for folder in ["etc", "root"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    for file in ["passwd", "group", "shadow", "gshadow"] {
        std::fs::write(root.path().join("etc").join(file), "").unwrap();
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_hades")).parent().unwrap();
    let install = |arguments: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/install.sh");
        let mut command = Command::new(script);
        command.arg("--root").arg(root.path()).arg("--bin").arg(programs).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    install(&[]);
    let said = install(&[]);
    assert!(said.contains("Start Hades by hand"), "{said}");
    assert!(root.path().join("usr/local/bin/hadesctl").exists());
    let enabled = "etc/systemd/system/multi-user.target.wants/hades.service";
    assert!(root.path().join(enabled).is_symlink());
    let passwd = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert_eq!(passwd.lines().filter(|line| line.starts_with("hades:")).count(), 1, "{passwd}");
    install(&["--uninstall"]);
    assert!(!root.path().join("usr/local/bin/hadesctl").exists());
    assert!(!root.path().join(enabled).is_symlink());
    assert!(root.path().join("var/lib/hades").exists());
}
