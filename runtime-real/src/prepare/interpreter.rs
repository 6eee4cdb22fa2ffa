//! Judges the first line of a program as the kernel does, which starts it by that line: what follows `#!` up to the end of
//! the line, of 256 bytes at most, is an interpreter's path and one argument. Starts nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::host::look;

/// Bytes of a program that the kernel reads to find its interpreter.
const HEAD_BYTES: usize = 256;

/// Why a program cannot be started; none when it can, or is no script. What lies below one of `unknown` is not looked for:
/// packages that are needed and not installed here.
pub(super) fn fault(program: &[u8], unknown: &Path) -> Option<String> {
    let Some(rest) = program.strip_prefix(b"#!") else {
        let has_mark = program.starts_with(b"\xef\xbb\xbf#!");
        let what = if has_mark {
            "begins with a byte order mark before #!"
        } else {
            "does not begin with #! and an interpreter, as in #!/bin/sh"
        };
        return Some(format!("{what}; it could not be started"));
    };
    let head = rest.get(..HEAD_BYTES - 2).unwrap_or(rest);
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.trim_ascii_start();
    let end = line.iter().position(|byte| is_blank(byte) || *byte == 0).unwrap_or(line.len());
    let (name, argument) = line.split_at(end);
    if name.is_empty() {
        return Some("names no interpreter behind #!; it could not be started".to_owned());
    }
    if head.len() == HEAD_BYTES - 2 && end == line.len() && !head.contains(&b'\n') {
        return Some(format!(
            "has an interpreter of more than {HEAD_BYTES} bytes, of which the kernel reads no more"
        ));
    }
    if name.ends_with(b"\r") || argument.trim_ascii_end().len() < argument.len() && argument.ends_with(b"\r")
    {
        let shown = String::from_utf8_lossy(line).escape_debug().to_string();
        return Some(format!(
            "has lines that end with CR LF, and the CR belongs to what the kernel starts, {shown:?}: save it with LF alone"
        ));
    }
    let interpreter = Path::new(OsStr::from_bytes(name));
    if interpreter.starts_with(unknown) {
        return None;
    }
    missing(interpreter)
        .or_else(|| not_one_argument(interpreter, argument))
        .or_else(|| by_env(interpreter, argument))
}

/// All that follows the interpreter is one argument, blanks included, which shells and `env` do not take apart.
fn not_one_argument(interpreter: &Path, argument: &[u8]) -> Option<String> {
    const SHELLS: [&str; 6] = ["ash", "bash", "dash", "ksh", "sh", "zsh"];
    let argument = String::from_utf8_lossy(argument.trim_ascii()).into_owned();
    let name = interpreter.file_name()?.to_str()?;
    if !argument.contains([' ', '\t']) {
        return None;
    }
    let instead = if SHELLS.contains(&name) && argument.starts_with('-') {
        "write `set` and the options into its second line"
    } else if name == "env" && !argument.starts_with('-') && !argument.contains('=') {
        "put -S before it, and env takes it apart"
    } else {
        return None;
    };
    Some(format!(
        "gives {name} all of {argument:?} as one argument, as the kernel does, which it does not know: {instead}"
    ))
}

fn missing(interpreter: &Path) -> Option<String> {
    let shown = interpreter.display();
    match look::meta(interpreter) {
        Ok(Some(meta)) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => None,
        Ok(Some(_)) => Some(format!("names the interpreter {shown}, which is no program")),
        Ok(None) => Some(format!("names the interpreter {shown}, which does not exist on this host")),
        Err(error) => Some(format!("names the interpreter {shown}, which cannot be looked at: {error}")),
    }
}

/// `env` looks for its argument in the search path.
fn by_env(interpreter: &Path, argument: &[u8]) -> Option<String> {
    let program = OsStr::from_bytes(argument.trim_ascii());
    let is_plain = !program.is_empty()
        && !program.as_bytes().starts_with(b"-")
        && !program.as_bytes().iter().any(|byte| matches!(byte, b'=' | b'/' | b' '));
    if interpreter.file_name() != Some(OsStr::new("env")) || !is_plain {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir: PathBuf| dir.join(program))
        .any(|file| missing(&file).is_none());
    (!found).then(|| {
        format!("names the interpreter {}, which is not in the search path of this host", program.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(program: &str) -> String {
        fault(program.as_bytes(), Path::new("/not/installed")).unwrap_or_default()
    }

    #[test]
    fn a_first_line_is_read_as_the_kernel_reads_it() {
        for good in [
            "#!/bin/sh\n",
            "#! /bin/sh -e\nx",
            "#!\t/bin/sh \t\n",
            "#!/bin/sh",
            "#!/usr/bin/env sh\n",
            "#!/usr/bin/env -S sh -e\n",
            "#!/bin/sh -ex\n",
            "#!/not/installed/bin/bash\n",
            "#!/bin/sh\nexit 0\r\n",
        ] {
            assert_eq!(judged(good), "", "{good:?}");
        }
        let long = format!("#!/{}\n", "x".repeat(300));
        for (bad, part) in [
            ("exec sleep 1\n", "does not begin with #!"),
            ("\u{feff}#!/bin/sh\n", "byte order mark"),
            ("#!\n/bin/sh", "names no interpreter"),
            ("#!/bin/sh\r\nexit 0\r\n", "CR LF"),
            ("#!/bin/sh -e\r\nexit 0\r\n", "CR LF"),
            ("#!/bin/no-such-shell\n", "/bin/no-such-shell, which does not exist"),
            ("#!/bin\n", "/bin, which is no program"),
            ("#!/usr/bin/env no-such-program\n", "no-such-program, which is not in the search path"),
            ("#!/bin/sh -e -x\n", "all of \"-e -x\" as one argument"),
            ("#!/usr/bin/env sh -e\n", "put -S before it"),
            (long.as_str(), "more than 256 bytes"),
        ] {
            assert!(judged(bad).contains(part), "{bad:?}: {}", judged(bad));
        }
    }
}
