use super::*;
use std::string::{String, ToString};
use std::vec::Vec;

fn settings(defaults: &'static str, payload: &'static str) -> (Settings<'static>, Vec<String>) {
    let mut told = Vec::new();
    let parameters = Parameters::new(defaults.as_bytes(), payload.as_bytes());
    (read(&parameters, &mut |bad| told.push(bad.to_string())), told)
}

#[test]
fn without_parameters_the_built_in_values_hold() {
    let (settings, told) = settings("", "");
    assert_eq!(
        (settings.name, settings.version, settings.ports.as_slice()),
        ("cartridge", "0", &[][..])
    );
    assert_eq!(
        (settings.log_level, settings.drain),
        (Level::Info, Duration::from_secs(10))
    );
    assert!(settings.management.is_none() && settings.network == NetworkPlan::default());
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn the_payload_overrides_the_manifest() {
    let (settings, told) = settings(
        "CARTRIDGE_NAME=hello,CARTRIDGE_VERSION=0.1.0,PORTS=8080,DRAIN_SECONDS=3",
        "PORTS='80|443|80',LOG_LEVEL=Debug,MANAGEMENT_PORT=9000,MANAGEMENT_TOKEN=0123456789abcdef=",
    );
    assert_eq!(
        (settings.name, settings.version, settings.ports.as_slice()),
        ("hello", "0.1.0", &[80, 443][..])
    );
    assert_eq!(
        (settings.log_level, settings.drain),
        (Level::Debug, Duration::from_secs(3))
    );
    assert_eq!(
        settings.management.map(|it| (it.port, it.token)),
        Some((9000, "0123456789abcdef="))
    );
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn near_misses_of_the_agents_keys_are_told_from_the_apps_keys() {
    for (key, meant) in [
        ("DRAIN_SECOND", "DRAIN_SECONDS"),
        ("PORT", "PORTS"),
        ("ports", "PORTS"),
        ("LOG-LEVEL", "LOG_LEVEL"),
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("GATEWAY4", "GATEWAY"),
        ("MANAGMENT_TOKEN", "MANAGEMENT_TOKEN"),
        ("dns", "DNS"),
    ] {
        assert_eq!(near_miss(key), Some(meant), "{key}");
    }
    for key in [
        "GREETING",
        "DSN",
        "DNA",
        "MTV",
        "HOST",
        "PORT_MAPPINGS",
        "CARTRIDGE_KEY",
        "LEVEL",
        "DB_PASSWORD",
        "",
    ] {
        assert_eq!(near_miss(key), None, "{key}");
    }
    for key in KEYS.split(' ') {
        assert_eq!(near_miss(key), None, "{key}");
    }
}

#[test]
fn bad_values_are_named_with_what_was_expected_and_what_is_used() {
    let (settings, told) = settings(
        "PORTS=8080,DRAIN_SECONDS=x",
        "PORTS=80|http,LOG_LEVEL=loud,DRAIN_SECONDS=-1",
    );
    assert_eq!(
        (settings.ports.as_slice(), settings.drain),
        (&[8080][..], Duration::from_secs(10))
    );
    assert_eq!(
        told,
        [
            "PORTS=80|http is not a list of at most 16 ports from 1 to 65535, separated by '|': using 8080",
            "LOG_LEVEL=loud is not error, warn, info, debug or trace: using info",
            "DRAIN_SECONDS=-1 is not a number of seconds from 0 to 3600: using 10",
            "DRAIN_SECONDS=x is not a number of seconds from 0 to 3600: using 10",
        ]
    );
}

#[test]
fn the_management_endpoint_needs_a_good_token_which_is_never_shown() {
    for payload in [
        "MANAGEMENT_PORT=9000",
        "MANAGEMENT_PORT=9000,MANAGEMENT_TOKEN=short-secret",
        "MANAGEMENT_PORT=9000,MANAGEMENT_TOKEN=long-enough but-with-a-blank",
        "PORTS=9000,MANAGEMENT_PORT=9000,MANAGEMENT_TOKEN=0123456789abcdef",
    ] {
        let (settings, told) = settings("", payload);
        assert!(settings.management.is_none(), "{payload}");
        assert_eq!(told.len(), 1, "{payload}");
        assert!(
            told[0].ends_with("using no management endpoint") && !told[0].contains("secret"),
            "{told:?}"
        );
    }
    assert!(!std::format!("{:?}", Management { port: 1, token: "hush" }).contains("hush"));
}

#[test]
fn network_values_are_checked() {
    let (settings, told) = settings(
        "",
        "ADDRESS=10.0.2.15/24,GATEWAY=10.0.2.2,DNS=10.0.2.3|fd00::3,MTU=1400",
    );
    assert_eq!(
        settings.network.command().as_str(),
        "static 10.0.2.15/24 gateway 10.0.2.2 dns 10.0.2.3,fd00::3 mtu 1400\n"
    );
    assert_eq!(told, Vec::<String>::new());
    let (settings, told) = self::settings(
        "",
        "ADDRESS=10.0.2.15,GATEWAY=x,DNS=a|b,MTU=10,ADDRESS6=::1/200,GATEWAY6=1",
    );
    assert_eq!(settings.network.command().as_str(), "dhcp\n");
    assert_eq!(told.len(), 6);
}

#[test]
fn addresses_that_no_host_can_have_are_refused() {
    let command = |payload: &str| {
        let parameters = Parameters::new(b"", payload.as_bytes());
        let mut refused = 0;
        let command = read(&parameters, &mut |_| refused += 1).network.command();
        (command.as_str().to_string(), refused)
    };
    for address in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1"] {
        let dhcp = ("dhcp\n".to_string(), 1);
        assert_eq!(command(&std::format!("ADDRESS={address}/24")), dhcp);
        let without = ("static 10.0.2.15/24\n".to_string(), 1);
        assert_eq!(
            command(&std::format!("ADDRESS=10.0.2.15/24,GATEWAY={address}")),
            without
        );
    }
    for address in ["::", "ff02::1", "::1"] {
        let without = ("dhcp\nstatic fd00::15/64\n".to_string(), 1);
        assert_eq!(
            command(&std::format!("ADDRESS6=fd00::15/64,GATEWAY6={address}")),
            without
        );
    }
}

#[test]
fn dhcp_does_not_void_what_the_payload_says() {
    let (settings, told) = settings("", "DNS=10.0.2.3,MTU=1400,GATEWAY=10.0.2.2,GATEWAY6=fd00::2");
    assert_eq!(settings.network.command().as_str(), "dhcp dns 10.0.2.3 mtu 1400\n");
    assert_eq!(
        told,
        [
            "GATEWAY=10.0.2.2 is not an IPv4 address beside a good ADDRESS: using DHCP",
            "GATEWAY6=fd00::2 is not an IPv6 address beside a good ADDRESS6: using none",
        ]
    );
}

#[test]
fn the_longest_plan_is_not_cut() {
    let v6 = "fdff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
    let payload = std::format!(
        "ADDRESS=255.255.255.254/032,GATEWAY=255.255.255.254,MTU=9000,DNS={v6}|{v6}|{v6},ADDRESS6={v6}/128,GATEWAY6={v6}"
    );
    let parameters = Parameters::new(b"", payload.as_bytes());
    let plan = read(&parameters, &mut |bad| panic!("{bad}")).network;
    assert!(plan.command().as_str().ends_with(&std::format!("/128 gateway {v6}\n")));
    assert_eq!(plan.command().as_str().lines().count(), 2);
    let (settings, told) = settings("", "ADDRESS=10.0.2.15/0000000024");
    assert!(settings.network.v4.is_none() && told.len() == 1);
}

#[test]
fn the_metadata_service_is_chosen_by_word() {
    use crate::metadata::Service;
    let metadata = |defaults: &'static str, payload: &'static str| {
        let (parameters, mut told) = (Parameters::new(defaults.as_bytes(), payload.as_bytes()), Vec::new());
        let choice = metadata_choice(&parameters, &mut |bad| told.push(bad.to_string()));
        let place = metadata_place(&parameters, &mut |bad| told.push(bad.to_string()));
        (choice, place.address, place.limit.as_secs(), told)
    };
    assert_eq!(
        metadata(
            "METADATA=off",
            "METADATA=EC2,METADATA_ADDRESS=[::1]:8080,METADATA_SECONDS=7"
        ),
        (Choice::Ask(Service::Ec2), Some("[::1]:8080"), 7, Vec::new())
    );
    assert_eq!(metadata("METADATA=off", "").0, Choice::Off);
    let (choice, address, seconds, told) = metadata("", "METADATA=aws,METADATA_ADDRESS=http://x/,METADATA_SECONDS=0");
    assert_eq!((choice, address, seconds), (Choice::Auto, None, 120));
    assert_eq!(told[0], "METADATA=aws is not auto, openstack, ec2 or off: using auto");
    assert_eq!(told.len(), 3);
}
