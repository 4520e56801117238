//! The targets.

mod archives;
mod events;
mod health;
mod http;
mod kernel;
mod metadata;
mod mqtt;
mod payload;

use crate::Target;

/// All of them.
pub const ALL: &[Target] = &[
    Target {
        name: "payload",
        about: "payload and defaults as texts: the form, the items, every setting",
        longest: 1024,
        run: payload::texts,
    },
    Target {
        name: "user-data",
        about: "user-data and meta_data.json as JSON",
        longest: 2048,
        run: payload::json,
    },
    Target {
        name: "management",
        about: "requests to the management endpoint, in pieces",
        longest: 6144,
        run: http::requests,
    },
    Target {
        name: "http-client",
        about: "answers to the HTTP client, in pieces, and where they redirect to",
        longest: 4096,
        run: http::answers,
    },
    Target {
        name: "metadata",
        about: "what a metadata service answers to whom, in which order, and what the machine says it is",
        longest: 512,
        run: metadata::inquiry,
    },
    Target {
        name: "mqtt",
        about: "the whole adapter for Stratos against a broker that sends anything, while time passes and the member lives on",
        longest: 2048,
        run: mqtt::broker,
    },
    Target {
        name: "events",
        about: "each event that Stratos publishes, its topic in the first line",
        longest: 2048,
        run: events::any,
    },
    Target {
        name: "topology",
        about: "topologies, one after another",
        longest: 4096,
        run: events::topologies,
    },
    Target {
        name: "thrift",
        about: "replies over Thrift, in pieces",
        longest: 1024,
        run: health::reply,
    },
    Target {
        name: "health",
        about: "the publisher of health statistics against a receiver that says anything",
        longest: 512,
        run: health::receiver,
    },
    Target {
        name: "archive",
        about: "archives of any kind, unpacked as they arrive",
        longest: 4096,
        run: archives::any,
    },
    Target {
        name: "tar",
        about: "tar archives whose headers have the right check sums",
        longest: 6144,
        run: archives::tar,
    },
    Target {
        name: "password",
        about: "encrypted passwords of repositories, and their URLs",
        longest: 512,
        run: archives::password,
    },
    Target {
        name: "dhcp",
        about: "messages of a DHCP server while time passes",
        longest: 1024,
        run: kernel::dhcp,
    },
    Target {
        name: "router",
        about: "router advertisements while time passes",
        longest: 1024,
        run: kernel::router,
    },
    Target {
        name: "dns",
        about: "answers of name servers",
        longest: 512,
        run: kernel::dns,
    },
    Target {
        name: "frames",
        about: "Ethernet frames to the whole network stack",
        longest: 1024,
        run: kernel::frames,
    },
    Target {
        name: "network-file",
        about: "what is written to the guest's file `network`",
        longest: 512,
        run: kernel::network_file,
    },
    Target {
        name: "acpi",
        about: "ACPI tables",
        longest: 1024,
        run: kernel::acpi,
    },
    Target {
        name: "smbios",
        about: "SMBIOS entry points and tables",
        longest: 1024,
        run: kernel::smbios,
    },
];
