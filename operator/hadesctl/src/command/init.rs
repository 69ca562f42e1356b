//! `hadesctl init`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use hades_api::schema::{any_json_schema, json_schemas};

use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Files of the starter repository, by their path in it.
const STARTER: [(&str, &str); 5] = [
    ("README.md", include_str!("../../starter/README.md")),
    (".hadesignore", include_str!("../../starter/hadesignore")),
    ("shop/project.yaml", include_str!("../../starter/shop/project.yaml")),
    ("shop/base.yaml", include_str!("../../starter/shop/base.yaml")),
    ("shop/production.yaml", include_str!("../../starter/shop/production.yaml")),
];

/// Make a starter repository of manifests
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder to make; it must not be there yet, or be empty
    directory: PathBuf,
}

/// Writes the starter repository.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let root = &arguments.directory;
    refuse_full(root)?;
    for (path, text) in STARTER {
        write(root, path, text)?;
        context.terminal.line(&format!("wrote {}", root.join(path).display()))?;
    }
    for (kind, schema) in json_schemas() {
        let path = format!("schemas/{}.json", kind.to_lowercase());
        write(root, &path, &output::json(&schema)?)?;
    }
    write(root, "schemas/manifest.json", &output::json(&any_json_schema())?)?;
    context.terminal.line(&format!("wrote {}", root.join("schemas").display()))?;
    context.terminal.line(git_init(root))?;
    let shown = root.display();
    context.terminal.print(&format!(
        "\nNext:\n  hadesctl apply -f {shown} --dry-run=client    # check the manifests\n  \
         hadesctl diff -f {shown}                      # see what would change\n  \
         hadesctl apply -f {shown}                     # make it so\n{shown}/README.md says \
         how Hades can follow the repository by itself.\n"
    ))
}

/// Nothing that is there already is ever written over.
fn refuse_full(root: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { verb: "read", path: root.to_owned(), source };
    match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Incomplete {
                message: format!("{} is not empty, nothing was written", root.display()),
                hint: Some("name a folder that isn't there yet".to_owned()),
            }),
        },
    }
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), Error> {
    let path = root.join(path);
    let result =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
    result.map_err(|source| Error::File { verb: "write", path, source })
}

/// Makes it a git repository; says what came of it.
fn git_init(root: &Path) -> &'static str {
    let status = Command::new("git")
        .args(["init", "--quiet", "--initial-branch=main"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => "made it a git repository, branch main",
        Ok(_) => "`git init` failed: make it a git repository yourself",
        Err(_) => "git is not installed: make it a git repository later",
    }
}
