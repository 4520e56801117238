//! Who a member is, and the launch parameters that tell it so.

use super::mosquitto::{PASSWORD, USER};

/// Values that nothing may ever show.
pub const SECRETS: [&str; 3] = [PASSWORD, KEY, BEARER];
/// CARTRIDGE_KEY: 16 characters.
const KEY: &str = "hunter2-of-repos";
/// TOKEN, for the platform's metadata service.
const BEARER: &str = "hunter2-of-the-metadata-service";

pub const APPLICATION: &str = "shop";
pub const SERVICE: &str = "basket";
pub const CLUSTER: &str = "shop.basket.cluster-1";
pub const CLUSTER_INSTANCE: &str = "shop-instance-1";
pub const NETWORK_PARTITION: &str = "np-1";
pub const PARTITION: &str = "np-1.p-2";
/// The cluster that the member depends on.
pub const DEPENDENCY: &str = "shop.db.cluster-1";
pub const DEPENDENCY_SERVICE: &str = "db";

/// How the payload names the broker.
#[derive(Debug, Clone)]
pub enum Brokers {
    /// MB_IP and MB_PORT.
    One(String, u16),
    /// `mb.urls`, in the order in which they are to be tried.
    List(Vec<(String, u16)>),
}

/// A member's payload, as the platform makes it (autoscaler, then cloud controller); absent properties leave empty items.
#[derive(Debug, Clone)]
pub struct Payload {
    pub member: String,
    pub brokers: Brokers,
    pub password: String,
    /// Without the identifiers that are optional.
    pub is_bare: bool,
}

impl Payload {
    pub fn text(&self) -> String {
        let optional = if self.is_bare {
            String::new()
        } else {
            format!(
                "CLUSTER_INSTANCE_ID={CLUSTER_INSTANCE},LB_CLUSTER_ID=null,NETWORK_PARTITION_ID={NETWORK_PARTITION},\
                 PARTITION_ID={PARTITION}"
            )
        };
        let brokers = match &self.brokers {
            Brokers::One(host, port) => format!("MB_IP={host},MB_PORT={port}"),
            Brokers::List(list) => {
                let urls: Vec<String> = list.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                format!("mb.urls={}", urls.join("|"))
            }
        };
        format!(
            "APPLICATION_ID={APPLICATION},SERVICE_NAME={SERVICE},HOST_NAME=basket.shop.example,MULTITENANT=false,TENANT_ID=-1234,\
             TENANT_RANGE=*,CARTRIDGE_ALIAS=basket,CLUSTER_ID={CLUSTER},CARTRIDGE_KEY={KEY},DEPLOYMENT=default,,,\
             PORT_MAPPINGS=NAME:http|PROTOCOL:http|PORT:8080|PROXY_PORT:80|TYPE:NodePort,PROVIDER=apache,,\
             DEPENDENCY_CLUSTER_IDS={DEPENDENCY},TOKEN={BEARER},MEMBER_ID={member},INSTANCE_ID=null,{optional},INTERNAL=false,\
             {brokers},mb.username={USER},mb.password={password}",
            member = self.member,
            password = self.password,
        )
    }
}
