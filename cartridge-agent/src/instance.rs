//! What an app can know of the instance it runs as.

use cartridge_agent_core::parameters::Parameters;

/// The instance, as its cloud's metadata service describes it. Everything is absent where there is none.
#[derive(Default)]
pub struct Instance {
    parameters: Parameters<'static>,
    pub(crate) id: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) keys: Vec<String>,
}

impl Instance {
    /// Its identifier: INSTANCE_ID of the payload, else the metadata service's (EC2 `i-...`, OpenStack a UUID).
    pub fn id(&self) -> Option<&str> {
        self.parameters.get("INSTANCE_ID").or(self.id.as_deref())
    }

    /// Its host name.
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The availability zone it is in.
    pub fn availability_zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The public keys (OpenSSH's format, a line each) of those who may administer it; at most 8.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The same, with the identifier that the payload gives.
    pub(crate) fn with(self, parameters: Parameters<'static>) -> Self {
        Instance { parameters, ..self }
    }
}
