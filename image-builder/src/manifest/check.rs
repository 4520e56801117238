//! From TOML text to a [`Manifest`], collecting every [`Problem`] on the way.

use super::{DEFAULT_MEMORY, Manifest, Problem};
use crate::command::nearest;
use cartridge_agent_core::parameters::{Parameters, is_secret};
use cartridge_agent_core::settings::{self, PORT_LIMIT};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KEYS: [&str; 7] = ["name", "version", "ports", "memory", "kernel", "files", "defaults"];
/// MiB; the smallest a program with its agent was seen to start in, and the largest the kernel's tables cover.
const MEMORY: std::ops::RangeInclusive<i64> = 2..=1 << 20;

/// The manifest, as far as it can be understood, and all that is wrong with it.
pub fn parse(text: &str, name: &str, version: &str) -> (Manifest, Vec<Problem>) {
    let mut check = Check {
        text,
        problems: Vec::new(),
    };
    let manifest = Manifest {
        name: name.into(),
        version: version.into(),
        ports: Vec::new(),
        memory: DEFAULT_MEMORY,
        files: None,
        defaults: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let what = format!("this is not TOML: {}", error.message());
            let hint = "write lines like key = \"text\", ports = [8080] and [defaults]; docs/CLI.md lists the keys";
            check.wrong(error.span().unwrap_or_default(), what, hint);
        }
        return (manifest, check.problems);
    }
    let table = document.get_ref();
    let manifest = check.document(table, manifest);
    check.as_the_agent(table, &manifest);
    (manifest, check.problems)
}

struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Adds a problem, in the order of the lines.
    fn wrong(&mut self, span: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::at(self.text, span, what).hint(hint);
        let at = self
            .problems
            .iter()
            .position(|other| other.line > problem.line)
            .unwrap_or(self.problems.len());
        self.problems.insert(at, problem);
    }

    fn document(&mut self, table: &DeTable<'_>, mut manifest: Manifest) -> Manifest {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => manifest.name = self.name(value).unwrap_or(manifest.name),
                "version" => manifest.version = self.version(value).unwrap_or(manifest.version),
                "ports" => manifest.ports = self.ports(value),
                "memory" => manifest.memory = self.memory(value).unwrap_or(manifest.memory),
                "kernel" => self.kernel(value),
                "files" => manifest.files = self.files(value),
                "defaults" => manifest.defaults = self.defaults(value),
                unknown => self.unknown(key.span(), unknown),
            }
        }
        manifest
    }

    fn unknown(&mut self, span: Range<usize>, key: &str) {
        let hint = match nearest(key, KEYS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "the keys are {}; launch parameters go under [defaults]",
                KEYS.join(", ")
            ),
        };
        self.wrong(span, format!("unknown key `{key}`"), hint);
    }

    fn text(&mut self, value: &Spanned<DeValue<'_>>, key: &str, example: &str) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            other => {
                let what = format!("`{key}` is {}, not a string", kind(other));
                self.wrong(value.span(), what, format!("write it like {key} = \"{example}\""));
                None
            }
        }
    }

    fn name(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let name = self.text(value, "name", "hello")?;
        if is_name(&name) {
            return Some(name);
        }
        self.wrong(
            value.span(),
            format!("`{name}` cannot name a cartridge"),
            "use 1 to 63 lower-case letters, digits, `-` and `_`, starting with a letter",
        );
        None
    }

    fn version(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let version = self.text(value, "version", "0.1.0")?;
        let fine = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
        if (1..=64).contains(&version.len()) && version.chars().all(fine) {
            return Some(version);
        }
        self.wrong(
            value.span(),
            format!("`{version}` is not a version"),
            "use letters, digits and `.-+`, like 1.2.0",
        );
        None
    }

    fn ports(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<u16> {
        let DeValue::Array(entries) = value.get_ref() else {
            let what = format!("`ports` is {}, not an array", kind(value.get_ref()));
            self.wrong(value.span(), what, "write it like ports = [8080]");
            return Vec::new();
        };
        let mut ports = Vec::new();
        for entry in entries {
            match integer(entry.get_ref())
                .and_then(|number| u16::try_from(number).ok())
                .filter(|port| *port != 0)
            {
                None => {
                    let hint = "a TCP port is a number from 1 to 65535";
                    self.wrong(entry.span(), format!("{} is not a port", shown(entry.get_ref())), hint);
                }
                Some(port) if ports.contains(&port) => {
                    self.wrong(
                        entry.span(),
                        format!("port {port} is listed twice"),
                        "remove one of them",
                    );
                }
                Some(port) => ports.push(port),
            }
        }
        if ports.len() > PORT_LIMIT {
            let what = format!("{} ports, and the agent watches at most {PORT_LIMIT}", ports.len());
            self.wrong(value.span(), what, "name those that tell whether the app is ready");
            ports.truncate(PORT_LIMIT);
        }
        ports
    }

    fn memory(&mut self, value: &Spanned<DeValue<'_>>) -> Option<u32> {
        let memory = integer(value.get_ref()).filter(|memory| MEMORY.contains(memory));
        if memory.is_none() {
            let what = format!("`memory` is {}", shown(value.get_ref()));
            let hint = format!(
                "give whole MiB from {} to {}, like memory = 16",
                MEMORY.start(),
                MEMORY.end()
            );
            self.wrong(value.span(), what, hint);
        }
        memory.map(|memory| memory as u32)
    }

    fn kernel(&mut self, value: &Spanned<DeValue<'_>>) {
        match self.text(value, "kernel", "glue").as_deref() {
            None | Some("glue") => {}
            Some("hermit") => self.wrong(
                value.span(),
                "kernel = \"hermit\" is not supported yet",
                "remove the line: kernel-glue (\"glue\") is the default, and the same program runs on it",
            ),
            Some(other) => self.wrong(
                value.span(),
                format!("there is no kernel `{other}`"),
                "write kernel = \"glue\"",
            ),
        }
    }

    fn files(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let files = self.text(value, "files", "public")?;
        let folder = files.trim_end_matches('/');
        if folder.split('/').next() == Some("tmp") {
            let what = "in a machine `/tmp` is memory that starts empty: the files would not be seen";
            self.wrong(value.span(), what, "give the folder another name");
            return None;
        }
        if !folder.is_empty() && folder.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            return Some(folder.into());
        }
        self.wrong(
            value.span(),
            format!("`{files}` is not a folder below the app's"),
            "write it like files = \"public\"",
        );
        None
    }

    fn defaults(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, String)> {
        let DeValue::Table(table) = value.get_ref() else {
            let what = format!("`defaults` is {}, not a table", kind(value.get_ref()));
            self.wrong(
                value.span(),
                what,
                "write [defaults] and then lines like LOG_LEVEL = \"info\"",
            );
            return Vec::new();
        };
        let pairs = table
            .iter()
            .filter_map(|(key, value)| self.default(key.span(), key.get_ref(), value));
        pairs.collect()
    }

    /// One launch parameter. The format has no quoting: a comma ends a pair, and an `=` ends its key.
    fn default(&mut self, span: Range<usize>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<(String, String)> {
        let taken = [
            ("PORTS", "ports"),
            ("CARTRIDGE_NAME", "name"),
            ("CARTRIDGE_VERSION", "version"),
        ];
        if let Some((_, field)) = taken.iter().find(|(taken, _)| *taken == key) {
            self.wrong(
                span,
                format!("`{key}` is set by the manifest itself"),
                format!("use `{field}` at its top"),
            );
            return None;
        }
        if is_secret(key) {
            self.wrong(
                span,
                format!("`{key}` looks like a secret, and whoever has an image can read what is in it"),
                "give it in the payload of each member instead; if it is none, rename it",
            );
            return None;
        }
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            let what = format!("`{key}` cannot be a launch parameter");
            self.wrong(span, what, "use letters, digits, `_`, `-` and `.`, like LOG_LEVEL");
            return None;
        }
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(_) if integer(value.get_ref()).is_some() => integer(value.get_ref())?.to_string(),
            other => {
                self.wrong(
                    value.span(),
                    format!("`{key}` is {}", kind(other)),
                    "give a string, an integer, true or false",
                );
                return None;
            }
        };
        if text.contains([',', '\n', '\r', '\0']) {
            let hint = "launch parameters are KEY=VALUE,KEY=VALUE without quoting; lists inside a value use `|`";
            self.wrong(
                value.span(),
                format!("the value of `{key}` has a comma or a line break"),
                hint,
            );
            return None;
        }
        let item = format!("{key}={text}");
        let (mut why, parameters) = (None, Parameters::new(item.as_bytes(), b""));
        parameters.problems(&mut |_, problem| why = Some(problem.to_string()));
        if let Some(why) = why {
            self.wrong(
                value.span(),
                format!("`{key}` cannot be read: {why}"),
                "change it or leave it out",
            );
            return None;
        }
        if parameters.get(key).is_none() {
            let what = format!("`{key}` is \"{text}\", which counts as absent");
            self.wrong(value.span(), what, "give it a value or remove the line");
            return None;
        }
        Some((key.into(), text))
    }

    /// What the agent itself would have to say about the defaults, at its start.
    fn as_the_agent(&mut self, table: &DeTable<'_>, manifest: &Manifest) {
        let defaults = table.get("defaults").and_then(|value| value.get_ref().as_table());
        let Some(defaults) = defaults else { return };
        let place = |key: &str| {
            let pair = defaults.iter().find(|(name, _)| name.get_ref() == key);
            pair.map(|(_, value)| value.span())
        };
        let text = manifest.launch_params();
        let parameters = Parameters::new(text.as_bytes(), b"");
        let mut wrong = Vec::new();
        parameters.problems(&mut |_, problem| wrong.push((Some(0..0), problem.to_string())));
        // Only of what is written here: a management port, say, gets its token from the payload.
        settings::read(&parameters, &mut |bad| {
            let what = format!("{}={} is not {}", bad.key, bad.value, bad.expected);
            wrong.push((place(bad.key), what));
        });
        for (span, what) in wrong {
            if let Some(span) = span {
                self.wrong(span, what, "the agent would not use it: change it or remove it");
            }
        }
    }
}

/// Names of cartridges and of apps that `new` makes: they become file, host and metric names.
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        other => kind(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, String, String)> {
        let (_, problems) = parse(text, "app", "0.1.0");
        problems.into_iter().map(|p| (p.line, p.what, p.hint)).collect()
    }

    #[test]
    fn an_empty_manifest_takes_everything_from_cargo() {
        let (manifest, problems) = parse("", "app", "1.2.3");
        assert_eq!(problems, []);
        assert_eq!(
            (&*manifest.name, &*manifest.version, manifest.memory),
            ("app", "1.2.3", DEFAULT_MEMORY)
        );
        assert_eq!(manifest.launch_params(), "CARTRIDGE_NAME=app,CARTRIDGE_VERSION=1.2.3");
    }

    #[test]
    fn a_full_manifest_becomes_launch_parameters() {
        let text = "name = \"web\"\nversion = \"2.0\"\nports = [80, 443]\nmemory = 32\nkernel = \"glue\"\nfiles = \"www/\"\n\
                    [defaults]\nLOG_LEVEL = \"debug\"\nDRAIN_SECONDS = 5\nA = true\n";
        let (manifest, problems) = parse(text, "app", "1.2.3");
        assert_eq!(problems, []);
        assert_eq!((manifest.memory, manifest.files.as_deref()), (32, Some("www")));
        let params = "CARTRIDGE_NAME=web,CARTRIDGE_VERSION=2.0,PORTS=80|443,A=true,DRAIN_SECONDS=5,LOG_LEVEL=debug";
        assert_eq!(manifest.launch_params(), params);
    }

    #[test]
    fn every_mistake_is_reported_with_its_line_in_order() {
        let text = "nmae = \"x\"\nports = [0, 8080, 8080, \"a\"]\nmemory = 1\n\n[defaults]\nPORTS = \"1\"\nX = \"a,b\"\nY = [1]\n";
        let found = problems(text);
        let lines: Vec<usize> = found.iter().map(|problem| problem.0).collect();
        assert_eq!(lines, [1, 2, 2, 2, 3, 6, 7, 8]);
        assert_eq!(found[0].2, "did you mean `name`?");
        assert!(found.iter().all(|problem| !problem.2.is_empty()), "{found:?}");
    }

    #[test]
    fn wrong_types_and_kernels_are_refused() {
        for (text, part) in [
            ("name = 1", "not a string"),
            ("name = \"Bad Name\"", "cannot name"),
            ("version = \"1,2\"", "not a version"),
            ("ports = 80", "not an array"),
            ("ports = [65536]", "not a port"),
            ("memory = \"4G\"", "`memory` is \"4G\""),
            ("kernel = \"hermit\"", "not supported yet"),
            ("kernel = \"linux\"", "no kernel"),
            ("files = \"../x\"", "not a folder below"),
            ("files = \"/etc\"", "not a folder below"),
            ("files = \"tmp/x\"", "would not be seen"),
            ("defaults = 1", "not a table"),
            ("[zzzzzz]", "unknown key"),
        ] {
            let found = problems(text);
            assert!(
                found.len() == 1 && found[0].1.contains(part) && found[0].0 == 1,
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn what_the_agent_would_refuse_is_refused_here() {
        let key = "K".repeat(129);
        let many: String = (0..600).map(|number| format!("V{number} = 1\n")).collect();
        for (text, line, part) in [
            ("LOG_LEVEL = \"loud\"", 2, "LOG_LEVEL=loud is not error, warn"),
            (
                "A = 1\nDRAIN_SECONDS = \"x\"",
                3,
                "DRAIN_SECONDS=x is not a number of seconds",
            ),
            ("MTU = 10", 2, "MTU=10 is not"),
            ("MANAGEMENT_PORT = 80", 2, "MANAGEMENT_PORT=80 is not"),
            ("A = \"\"", 2, "counts as absent"),
            ("A = \"Null\"", 2, "counts as absent"),
            ("A = \"\\u001b[2J\"", 2, "control byte"),
            (&format!("V{key} = 1").replace('K', "x"), 2, "cannot be read"),
            (&many, 1, "only the first 512 items"),
        ] {
            let found = problems(&format!("ports = [80]\n[defaults]\n{text}\n"));
            let [problem] = &found[..] else {
                panic!("{text}: {found:?}")
            };
            // Line 1 stands for the whole.
            assert_eq!(problem.0, if line == 1 { 1 } else { line + 1 }, "{text}: {problem:?}");
            assert!(problem.1.contains(part) && !problem.2.is_empty(), "{text}: {problem:?}");
        }
        assert_eq!(
            problems("ports = [80]\n[defaults]\nMANAGEMENT_PORT = 9000\nDRAIN_SECONDS = 3600\n"),
            []
        );
        let ports: Vec<String> = (1..=17).map(|port: u16| port.to_string()).collect();
        let found = problems(&format!("ports = [{}]", ports.join(", ")));
        assert!(found.len() == 1 && found[0].1.contains("at most 16"), "{found:?}");
    }

    #[test]
    fn no_secret_goes_into_an_image() {
        for key in ["MANAGEMENT_TOKEN", "db_password", "API_KEY"] {
            let text = format!("[defaults]\n{key} = \"0123456789abcdef\"\n");
            let (manifest, _) = parse(&text, "app", "0.1.0");
            let found = problems(&text);
            assert!(
                found.len() == 1 && found[0].0 == 2 && found[0].1.contains("secret"),
                "{found:?}"
            );
            assert!(
                found[0].2.contains("payload") && !found[0].1.contains("0123"),
                "{found:?}"
            );
            assert!(!manifest.launch_params().contains("0123"));
        }
    }

    #[test]
    fn broken_toml_gives_a_line_and_a_hint() {
        let found = problems("name = \"a\"\nports = [1,\n[x");
        assert!(!found.is_empty() && found[0].0 >= 2, "{found:?}");
        assert!(found.iter().all(|problem| !problem.2.is_empty()), "{found:?}");
    }
}
