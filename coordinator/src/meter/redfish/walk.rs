//! Which resources of a Redfish tree lead to readings: pure.

use serde_json::Value;

/// What a resource is part of: its readings are named by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Role {
    /// Before the words of its points; empty for those of the domain itself.
    pub(super) prefix: String,
    /// Speaks only where nobody else does: an older form of the same, or a sum of it.
    pub(super) is_spare: bool,
    /// One of many circuits behind a breaker each: its readings are named by its own id.
    pub(super) is_branch: bool,
    /// Part of a coolant unit, whose air is not what it supplies.
    pub(super) of_cdu: bool,
    /// Tells of leaks.
    pub(super) of_leaks: bool,
}

impl Role {
    fn with_prefix(&self, prefix: String) -> Self {
        Self { prefix, ..self.clone() }
    }

    fn leaks(&self) -> Self {
        Self { of_leaks: true, ..self.clone() }
    }

    fn spare(&self) -> Self {
        Self { is_spare: true, ..self.clone() }
    }
}

/// A resource that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) path: String,
    pub(super) role: Role,
}

/// The schema's word: `Chassis` of `#Chassis.v1_25_0.Chassis`.
pub(super) fn kind(resource: &Value) -> &str {
    let text = resource["@odata.type"].as_str().unwrap_or_default();
    text.trim_start_matches('#').split('.').next().unwrap_or_default()
}

/// Whether a resource of this kind has readings.
pub(super) fn has_readings(kind: &str) -> bool {
    matches!(
        kind,
        "EnvironmentMetrics"
            | "PowerSupplyMetrics"
            | "PowerDistributionMetrics"
            | "Circuit"
            | "CoolantConnector"
            | "LeakDetection"
            | "LeakDetector"
            | "Sensor"
            | "Power"
            | "Thermal"
    )
}

/// Whereto a resource leads, in a fixed order. `sensors`: every sensor of a chassis, too.
pub(super) fn links(resource: &Value, role: &Role, sensors: bool) -> Vec<Link> {
    let kind = kind(resource);
    if kind.ends_with("Collection") {
        return members(resource, role);
    }
    let mut links = Links { resource, links: Vec::new() };
    match kind {
        "ServiceRoot" => links.all(&["Chassis", "PowerEquipment", "ThermalEquipment"], role),
        "Chassis" => {
            links.all(&["EnvironmentMetrics", "PowerSubsystem", "ThermalSubsystem"], role);
            if sensors {
                links.all(&["Sensors"], role);
            }
            // What older BMCs have in their place.
            links.all(&["Power", "Thermal"], &role.spare());
        }
        "PowerSubsystem" => links.all(&["PowerSupplies"], role),
        "PowerSupply" => links.all(&["Metrics"], &role.with_prefix(named("psu", resource))),
        "ThermalSubsystem" => {
            links.all(&["CoolantConnectors"], role);
            links.all(&["LeakDetection"], &role.leaks());
        }
        "PowerEquipment" => links.all(&["RackPDUs", "FloorPDUs"], role),
        "PowerDistribution" => {
            links.all(&["Mains"], role);
            links.all(&["Branches"], &Role { is_branch: true, ..role.clone() });
            links.all(&["Metrics"], &role.spare());
        }
        "ThermalEquipment" => links.all(&["CDUs"], role),
        "CoolingUnit" => {
            let role = Role { of_cdu: true, ..role.clone() };
            links.all(&["SecondaryCoolantConnectors"], &role);
            let primary = role.with_prefix("primary_".to_owned());
            links.all(&["PrimaryCoolantConnectors"], &primary);
            links.all(&["EnvironmentMetrics"], &role);
            links.all(&["LeakDetection"], &role.leaks());
        }
        "LeakDetection" => links.all(&["LeakDetectors"], role),
        _ => {}
    }
    links.links
}

/// Where a collection goes on, when it does not fit into one answer, comes after its members.
fn members(collection: &Value, role: &Role) -> Vec<Link> {
    let members = collection["Members"].as_array().into_iter().flatten();
    let paths = members.filter_map(|member| path_of(&member["@odata.id"]));
    let next = path_of(&collection["Members@odata.nextLink"]);
    paths.chain(next).map(|path| Link { path, role: role.clone() }).collect()
}

struct Links<'r> {
    resource: &'r Value,
    links: Vec<Link>,
}

impl Links<'_> {
    fn all(&mut self, names: &[&str], role: &Role) {
        for name in names {
            let path = path_of(&self.resource[*name]["@odata.id"]);
            self.links.extend(path.map(|path| Link { path, role: role.clone() }));
        }
    }
}

/// A path on the same server; what leads anywhere else is not followed.
fn path_of(value: &Value) -> Option<String> {
    let path = value.as_str()?.split('#').next()?;
    let usable = path.starts_with('/') && !path.starts_with("//") && path.is_ascii();
    usable.then(|| path.to_owned())
}

/// The beginning of points of one part among several: `psu_0_`.
pub(super) fn named(what: &str, resource: &Value) -> String {
    let id = resource["Id"].as_str().or(resource["MemberId"].as_str()).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let id: String = id.chars().take(24).map(fits).collect();
    format!("{what}_{id}_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_leads_away_is_not_followed() {
        let members = json!([
            {"@odata.id": "/redfish/v1/a"}, {"@odata.id": "https://other/redfish/v1/b"},
            {"@odata.id": "//other/c"}, {"@odata.id": 7}, {}
        ]);
        let collection = json!({
            "@odata.type": "#ChassisCollection.ChassisCollection", "Members": members,
            "Members@odata.nextLink": "/redfish/v1/Chassis?$skip=50"
        });
        let links = links(&collection, &Role::default(), false);
        let paths: Vec<&str> = links.iter().map(|link| link.path.as_str()).collect();
        assert_eq!(paths, ["/redfish/v1/a", "/redfish/v1/Chassis?$skip=50"]);
    }

    #[test]
    fn parts_are_named_after_what_they_belong_to() {
        let supply = json!({
            "@odata.type": "#PowerSupply.v1_6_0.PowerSupply", "Id": "Bay 1",
            "Metrics": {"@odata.id": "/m"}
        });
        let links = links(&supply, &Role::default(), false);
        assert_eq!(links[0].role.prefix, "psu_bay_1_");
    }
}
