//! The file: the app's credentials in the first line (JSON), then a line for each acknowledged message:
//! `sender receiver client-id server-id number`. A line is one write, so it is there when its acknowledgement is.

use crate::{check::Numbered, rest::AppAccess};
use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// An acknowledged message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) sender: &'a str,
    pub(crate) receiver: &'a str,
    pub(crate) client_id: u64,
    pub(crate) message: Numbered,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let read = Self {
            sender: words.next()?,
            receiver: words.next()?,
            client_id: words.next()?.parse().ok()?,
            message: Numbered { server_id: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? },
        };
        words.next().is_none().then_some(read)
    }
}

#[derive(Debug)]
pub(crate) struct JournalFile(File);

impl JournalFile {
    /// Opens a journal to write more to it. `None` for the app when it is new.
    pub(crate) fn append(path: &Path) -> anyhow::Result<(Self, Option<AppAccess>)> {
        let told = match std::fs::read_to_string(path) {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(parse(&text)?.0),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        // It holds a secret.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok((Self(file), told))
    }

    pub(crate) fn write_app(&mut self, app: &AppAccess) -> anyhow::Result<()> {
        Ok(self.0.write_all(format!("{}\n", serde_json::to_string(app)?).as_bytes())?)
    }

    pub(crate) fn write(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        let Line { sender, receiver, client_id, message } = line;
        let text = format!("{sender} {receiver} {client_id} {} {}\n", message.server_id, message.number);
        self.0.write_all(text.as_bytes()).context("cannot write to the journal")
    }
}

/// Acknowledged messages by (sender, receiver).
pub(crate) type ByPair = BTreeMap<(String, String), Vec<Numbered>>;

/// Reads a journal.
pub(crate) fn read(path: &Path) -> anyhow::Result<(AppAccess, ByPair)> {
    let text = std::fs::read_to_string(path);
    text.map_err(anyhow::Error::from)
        .and_then(|text| parse(&text))
        .with_context(|| format!("cannot read the journal {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<(AppAccess, ByPair)> {
    let mut lines = text.lines().zip(1..);
    let (first, _) = lines.next().context("it is empty")?;
    let app = serde_json::from_str(first).context("line 1 is no app")?;
    let mut pairs = ByPair::new();
    for (line, number) in lines {
        let Some(read) = Line::read(line) else { bail!("line {number} is no acknowledgement") };
        let pair = (read.sender.to_owned(), read.receiver.to_owned());
        pairs.entry(pair).or_default().push(read.message);
    }
    Ok((app, pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(sender: &'a str, receiver: &'a str, number: u64) -> Line<'a> {
        let message = Numbered { number, server_id: number * 10 };
        Line { sender, receiver, client_id: number * 100, message }
    }

    #[test]
    fn what_was_written_is_read_and_more_can_be_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let app = AppAccess { app_key: "o#a".into(), client_id: "id".into(), client_secret: "secret".into() };

        let (mut file, told) = JournalFile::append(&path).unwrap();
        assert_eq!(told, None);
        file.write_app(&app).unwrap();
        file.write(&line("alice", "bob", 1)).unwrap();
        let (mut file, told) = JournalFile::append(&path).unwrap();
        assert_eq!(told, Some(app.clone()));
        file.write(&line("carol", "bob", 7)).unwrap();
        file.write(&line("alice", "bob", 2)).unwrap();

        let (read_app, pairs) = read(&path).unwrap();
        assert_eq!(read_app, app);
        let of = |sender: &str| pairs[&(sender.to_owned(), "bob".to_owned())].clone();
        assert_eq!(of("alice"), [line("", "", 1).message, line("", "", 2).message]);
        assert_eq!(of("carol"), [line("", "", 7).message]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let app = r#"{"app_key":"o#a","client_id":"i","client_secret":"s"}"#;
        for wrong in ["alice bob 1 2", "alice bob 1 2 3 4", "alice bob 1 two 3", ""] {
            let error = parse(&format!("{app}\nalice bob 1 2 3\n{wrong}\n")).unwrap_err();
            assert!(error.to_string().contains("line 3"), "{wrong:?}: {error}");
        }
        assert!(parse("alice bob 1 2 3\n").is_err());
        assert!(parse("").is_err());
    }
}
