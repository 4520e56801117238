//! Topic filters: `+` stands for one level, `#` for all that follow (MQTT 3.1.1, section 4.7).

/// Whether a message on `topic` is for whoever subscribed to `filter`.
pub fn matches(filter: &str, topic: &str) -> bool {
    // Topics of the server's own are not for wildcards (4.7.2).
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether a client may subscribe to it: wildcards stand for whole levels, and nothing follows `#`.
pub fn is_valid(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    let fine = |(index, level): (usize, &&str)| match *level {
        "#" => index == last,
        "+" => true,
        level => !level.contains(['+', '#']),
    };
    !filter.is_empty() && levels.iter().enumerate().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic) in [
            ("topology/#", "topology/MemberInitializedEvent"),
            ("topology/#", "topology"),
            ("#", "instance/status/InstanceStartedEvent"),
            ("instance/+/x", "instance/status/x"),
            ("+/+", "/x"),
            ("a/b", "a/b"),
        ] {
            assert!(is_valid(filter) && matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("topology/#", "topologys/x"),
            ("instance/+", "instance/status/x"),
            ("a/b", "a"),
            ("#", "$SYS/x"),
            ("a/b/", "a/b"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
        for filter in ["", "a#", "a/#/b", "a/b+"] {
            assert!(!is_valid(filter), "{filter}");
        }
    }
}
