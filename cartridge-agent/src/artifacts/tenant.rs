//! Who an artifact belongs to.

use std::fmt;

/// A tenant's number, checked: what a control plane sends is never used as a name of a file or in a path as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(i32);

impl TenantId {
    /// Stratos' number for the tenant that runs the platform; the only one of a cartridge that is not multi-tenant.
    pub const SUPER: TenantId = TenantId(-1234);

    /// A number in the one way to write it: the super tenant's, or decimal digits without a sign or zeros before them.
    pub fn parse(text: &str) -> Option<Self> {
        let number: i32 = text.parse().ok()?;
        let is_known = number >= 0 || number == TenantId::SUPER.0;
        (is_known && number.to_string() == text).then_some(TenantId(number))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_way_to_be_written() {
        assert_eq!(TenantId::parse("-1234"), Some(TenantId::SUPER));
        assert_eq!(TenantId::parse("7").map(|id| id.to_string()).as_deref(), Some("7"));
        for bad in [
            "",
            "-1",
            "-0",
            "+7",
            "07",
            " 7",
            "7/",
            "7.0",
            "../7",
            "%37",
            "٣",
            "2147483648",
            "-01234",
        ] {
            assert_eq!(TenantId::parse(bad), None, "{bad}");
        }
    }
}
