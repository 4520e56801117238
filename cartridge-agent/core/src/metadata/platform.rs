//! Which cloud a machine says it is in.

use super::Service;

/// The service to ask, by the text of the guest file `platform`: lines of a word and a text, which are the machine's SMBIOS strings
/// (DMTF DSP0134). As clouds document it, and cloud-init and systemd tell them:
///
/// - OpenStack: `product` or chassis `asset` tag `OpenStack Nova` or `OpenStack Compute`;
/// - EC2: `manufacturer` or `bios` vendor `Amazon EC2` (Nitro), `bios` version with `amazon` in it or a `serial` that begins `ec2`
///   (Xen).
pub fn recognised(platform: &str) -> Option<Service> {
    platform.split('\n').find_map(|line| {
        let (word, text) = line.split_once(' ')?;
        let begins = |start: &str| {
            text.get(..start.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(start))
        };
        match word {
            "product" | "asset" if matches!(text, "OpenStack Nova" | "OpenStack Compute") => Some(Service::OpenStack),
            "manufacturer" if text == "Amazon EC2" => Some(Service::Ec2),
            "bios" if text == "Amazon EC2" || text.contains("amazon") => Some(Service::Ec2),
            "serial" if begins("ec2") => Some(Service::Ec2),
            _ => None,
        }
    })
}
