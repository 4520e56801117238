//! Extended headers of tar (POSIX.1-2017, pax, "pax Extended Header"): records `LENGTH KEY=VALUE\n`.

use super::Problem;

/// What a header says of the entry after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Its name.
    pub path: Option<Vec<u8>>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// It is a file with holes, kept in a form of its own.
    pub sparse: bool,
}

/// Reads the records that matter here; others are passed over.
pub fn read(mut records: &[u8]) -> Result<Extended, Problem> {
    const BAD: Problem = Problem::Damaged("an extended header of tar");
    let mut extended = Extended::default();
    while !records.is_empty() {
        let blank = records.iter().position(|byte| *byte == b' ').ok_or(BAD)?;
        let length = decimal(&records[..blank]).ok_or(BAD)?;
        let record = usize::try_from(length)
            .ok()
            .and_then(|length| records.get(..length))
            .ok_or(BAD)?;
        let content = record.get(blank + 1..).and_then(|rest| rest.strip_suffix(b"\n"));
        let content = content.ok_or(BAD)?;
        let equals = content.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        let (key, value) = (&content[..equals], &content[equals + 1..]);
        match key {
            // An empty value takes back what was said before.
            b"path" => extended.path = (!value.is_empty()).then(|| value.to_vec()),
            b"size" if value.is_empty() => extended.size = None,
            b"size" => extended.size = Some(decimal(value).ok_or(BAD)?),
            _ if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ => {}
        }
        records = &records[record.len()..];
    }
    Ok(extended)
}

fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_damaged_ones_refused() {
        let extended = read(b"30 mtime=1700000000.123456789\n14 path=a\nb/c\n12 size=123\n").unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a\nb/c"[..]));
        assert_eq!((extended.size, extended.sparse), (Some(123), false));
        assert!(read(b"22 GNU.sparse.major=1\n").unwrap().sparse);
        for bad in [
            "x",
            "5",
            "0 a=b\n",
            "2 a=b\n",
            "99 a=b\n",
            "6 a=bc",
            "5 abc\n",
            "18446744073709551616 a=b\n",
            "10 size=x\n",
            "-5 a=b\n",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
