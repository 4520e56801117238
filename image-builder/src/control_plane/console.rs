//! What a developer may type while a member runs.

/// One line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    /// The member is to leave.
    Stop,
    /// Where the member stands.
    State,
    /// The complete topology, once more.
    Topology,
    /// A new version of the artifact; for a tenant, where one is named.
    Artifact {
        url: String,
        tenant: Option<String>,
    },
    TenantAdd {
        id: i64,
        domain: String,
    },
    TenantRemove {
        id: i64,
    },
}

pub const HELP: &str = "\
help                    this text
state                   where the member stands
topology                sends the complete topology once more (it comes every minute by itself)
artifact URL [TENANT]   tells of a new version of the artifact, for one tenant where one is named
tenant add ID DOMAIN    the tenant is served from now on
tenant remove ID        the tenant has signed off
stop                    asks the member to leave, as Ctrl-C does";

/// Longer lines are no commands.
pub const LINE_LIMIT: usize = 4096;

/// The command of a line; `None` for a blank one.
///
/// # Errors
/// What would be right instead.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = match words[..] {
        [] => return Ok(None),
        ["help" | "?"] => Command::Help,
        ["stop" | "quit" | "exit"] => Command::Stop,
        ["state"] => Command::State,
        ["topology"] => Command::Topology,
        ["artifact", url] => artifact(url, None),
        ["artifact", url, tenant] => artifact(url, Some(tenant)),
        ["tenant", "add", id, domain] => Command::TenantAdd {
            id: tenant(id)?,
            domain: domain.into(),
        },
        ["tenant", "remove", id] => Command::TenantRemove { id: tenant(id)? },
        ["artifact", ..] => return Err("write: artifact URL [TENANT]".into()),
        ["tenant", ..] => return Err("write: tenant add ID DOMAIN, or: tenant remove ID".into()),
        [word, ..] => return Err(format!("there is no command `{word}`; `help` lists them")),
    };
    Ok(Some(command))
}

fn artifact(url: &str, tenant: Option<&str>) -> Command {
    Command::Artifact {
        url: url.into(),
        tenant: tenant.map(String::from),
    }
}

fn tenant(id: &str) -> Result<i64, String> {
    id.parse()
        .map_err(|_| format!("a tenant's ID is a whole number, and {id:?} is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands_and_mistakes_say_what_would_be_right() {
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(parse("stop\r"), Ok(Some(Command::Stop)));
        let added = Command::TenantAdd {
            id: 7,
            domain: "x.org".into(),
        };
        assert_eq!(parse("tenant add 7 x.org"), Ok(Some(added)));
        let url = "http://h/a.zip";
        assert_eq!(parse("artifact http://h/a.zip 7"), Ok(Some(artifact(url, Some("7")))));
        for (line, hint) in [
            ("artifact", "URL"),
            ("tenant add x y", "whole number"),
            ("tenant", "tenant add"),
            ("stopp", "help"),
        ] {
            assert!(parse(line).unwrap_err().contains(hint), "{line}");
        }
    }
}
