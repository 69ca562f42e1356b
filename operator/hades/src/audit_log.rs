//! `hades audit`: looks at the audit log of a data directory, whether a server
//! runs or not.

use std::io::{self, Write};

use hades_apiserver::audit::{self, AuditError, AuditOptions, Report};

use crate::cli::{AuditCommand, AuditFlags, AuditVerifyFlags};

/// Why the log could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditCommandError {
    #[error(transparent)]
    Log(#[from] AuditError),
    #[error("the result could not be printed")]
    Print(#[from] io::Error),
}

/// How much a server keeps, as its flags say.
pub(crate) fn options(flags: &AuditFlags) -> AuditOptions {
    let AuditFlags { audit_dir, audit_max_size, audit_max_age } = flags;
    AuditOptions {
        directory: audit_dir.clone(),
        max_size: u64::from(*audit_max_size) << 20,
        max_age_days: *audit_max_age,
    }
}

/// Runs a command and prints its result. Whether all is well.
pub(crate) fn run(command: &AuditCommand, out: &mut impl Write) -> Result<bool, AuditCommandError> {
    let AuditCommand::Verify(AuditVerifyFlags { data_dir, audit_dir }) = command;
    let report = audit::verify(data_dir, audit_dir.as_deref())?;
    write_report(&report, out)?;
    Ok(report.problems.is_empty())
}

fn write_report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Report { files, records, first, last, problems, notes } = report;
    match (records, files) {
        (0, 0) => writeln!(out, "There are no records yet.")?,
        _ => writeln!(out, "{records} records in {files} files, from number {first} to {last}.")?,
    }
    for note in notes {
        writeln!(out, "Note: {note}.")?;
    }
    for problem in problems {
        writeln!(out, "PROBLEM: {problem}")?;
    }
    match problems.len() {
        0 => writeln!(out, "Nothing was changed, put in or taken out."),
        1 => writeln!(out, "1 problem."),
        count => writeln!(out, "{count} problems."),
    }
}

#[cfg(test)]
mod tests {
    use hades_apiserver::audit::AuditEvent;
    use hades_apiserver::{ApiServer, ServerConfig};

    use super::*;

    #[tokio::test]
    async fn a_log_is_summed_up_and_its_problems_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let command = AuditCommand::Verify(AuditVerifyFlags {
            data_dir: directory.path().to_owned(),
            audit_dir: None,
        });
        let told = || {
            let mut out = Vec::new();
            let good = run(&command, &mut out).unwrap();
            (String::from_utf8(out).unwrap(), good)
        };
        let error = run(&command, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("is missing"), "no data directory of Hades: {error}");
        let config = ServerConfig::new(directory.path(), Vec::new());
        let server = ApiServer::open(config).await.unwrap();
        let (text, good) = told();
        assert!(good && text.starts_with("There are no records yet."), "{text}");
        for _ in 0..3 {
            server.audit().record(AuditEvent::new("login", "/auth/login"));
        }
        server.shutdown().await;
        let (text, good) = told();
        assert!(good && text.starts_with("3 records in 1 files, from number 1 to 3."), "{text}");
        let folder = directory.path().join("audit");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                std::fs::write(path, "").unwrap();
            }
        }
        let (text, good) = told();
        assert!(!good && text.ends_with("missing at the end\n1 problem.\n"), "{text}");
    }
}
