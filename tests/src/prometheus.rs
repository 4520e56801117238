//! Checks a page of metrics against the Prometheus text exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), strictly: what we write needs no tolerance.

use anyhow::{Context, Result, bail, ensure};
use std::collections::HashSet;

/// Checks the page and gives the number of samples.
pub fn check(page: &str) -> Result<usize> {
    ensure!(page.ends_with('\n'), "the last line has no end");
    let (mut family, mut seen, mut samples) = (None, HashSet::new(), HashSet::new());
    for line in page.lines() {
        check_line(line, &mut family, &mut seen, &mut samples).with_context(|| format!("{line:?}"))?;
    }
    Ok(samples.len())
}

/// The metric that the lines at hand belong to, and its type once that was said.
type Family = Option<(String, Option<String>)>;

fn check_line(
    line: &str,
    family: &mut Family,
    seen: &mut HashSet<String>,
    samples: &mut HashSet<String>,
) -> Result<()> {
    if let Some(help) = line.strip_prefix("# HELP ") {
        let (name, text) = help.split_once(' ').context("HELP without a text")?;
        ensure!(is_name(name) && !text.trim().is_empty(), "HELP of nothing");
        ensure!(seen.insert(name.to_owned()), "a second HELP for {name}");
        *family = Some((name.to_owned(), None));
        return Ok(());
    }
    let (name, kind) = family.as_mut().context("no HELP before it")?;
    if let Some(text) = line.strip_prefix("# TYPE ") {
        let (typed, word) = text.split_once(' ').context("TYPE without a type")?;
        ensure!(
            typed == name && kind.is_none(),
            "TYPE of another metric, or a second one"
        );
        ensure!(["counter", "gauge"].contains(&word), "type {word}");
        ensure!(
            word != "counter" || name.ends_with("_total"),
            "a counter is named ..._total"
        );
        *kind = Some(word.to_owned());
        return Ok(());
    }
    ensure!(!line.starts_with('#'), "a comment");
    let (series, value) = line.rsplit_once(' ').context("no value")?;
    ensure!(
        kind.is_some() && series.split('{').next() == Some(name.as_str()),
        "a sample outside its metric"
    );
    ensure!(value.parse::<f64>().is_ok_and(f64::is_finite), "no number: {value}");
    if let Some((_, labels)) = series.split_once('{') {
        check_labels(labels.strip_suffix('}').context("labels without an end")?)?;
    }
    ensure!(samples.insert(series.to_owned()), "a second sample of the same series");
    Ok(())
}

fn check_labels(labels: &str) -> Result<()> {
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').context("a label without a value")?;
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match quoted {
            Some(text) if is_name(name) && !name.contains(':') && !text.contains(['"', '\n']) => {}
            _ => bail!("label {label}"),
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn accepts_a_page_and_refuses_what_is_wrong() {
        let good = "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\n";
        assert_eq!(check(good).unwrap(), 2);
        for bad in [
            "a 1\n",
            "# HELP a Things.\n# TYPE a counter\na 1\n",
            "# HELP a Things.\n# TYPE a gauge\nb 1\n",
            "# HELP a Things.\n# TYPE a gauge\na one\n",
            "# HELP a Things.\n# TYPE a gauge\na 1\na 1\n",
            "# HELP a Things.\n# TYPE a gauge\na{x=1} 1\n",
            "# HELP a Things.\n# TYPE a gauge\na 1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
