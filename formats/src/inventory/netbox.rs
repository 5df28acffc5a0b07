//! Lists of NetBox's REST API, as `curl` saves them: `/api/dcim/devices/`, `power-ports/` and
//! `power-feeds/` (NetBox 3.3 and later; `role` was `device_role` before 4.0).

use model::site::DomainKind;
use serde_json::Value;

use super::Inventory;

/// Adds one object; the slugs are those of the roles that are nodes.
type Add = fn(&mut Inventory, &Value, &[String]);

/// What kind of object a list holds, by the address that each object says of itself.
const LISTS: [(&str, Add); 3] = [
    ("/dcim/devices/", device),
    ("/dcim/power-ports/", power_port),
    ("/dcim/power-feeds/", power_feed),
];

impl Inventory {
    /// Adds the objects of a list. `roles`: slugs of the device roles that are nodes of ours.
    ///
    /// # Errors
    /// When it is no list of NetBox, in words.
    pub fn add_netbox(&mut self, file: &str, text: &str, roles: &[String]) -> Result<(), String> {
        let read: Value = serde_json::from_str(text).map_err(|why| format!("{file}: {why}"))?;
        let objects = read.get("results").unwrap_or(&read).as_array().ok_or_else(|| {
            format!("{file}: no list of objects; save one with curl .../api/dcim/devices/?limit=0")
        })?;
        if !read["next"].is_null() {
            let (here, all) = (objects.len(), read["count"].as_u64().unwrap_or(0));
            self.note(format!("{file}: a page of {here} objects of {all}; ask with ?limit=0"));
        }
        for object in objects {
            let url = object["url"].as_str().unwrap_or_default();
            match LISTS.iter().find(|(part, _)| url.contains(part)) {
                Some((_, add)) => add(self, object, roles),
                None => self.note(format!("{file}: objects such as \"{url}\" are not used")),
            }
        }
        Ok(())
    }
}

fn name(object: &Value) -> Option<&str> {
    object["name"].as_str().map(str::trim).filter(|name| !name.is_empty())
}

/// Whether hosts can have this name: brackets and commas would be a list of several.
fn is_host_name(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter))
}

fn device(inventory: &mut Inventory, device: &Value, roles: &[String]) {
    let role = [&device["role"], &device["device_role"]];
    let role = role.iter().find_map(|role| role["slug"].as_str()).unwrap_or_default();
    if !roles.iter().any(|wanted| wanted == role) {
        return;
    }
    let Some(node) = name(device) else {
        let id = &device["id"];
        return inventory.note(format!("device {id} of role {role} has no name: not used"));
    };
    if !is_host_name(node) {
        return inventory.note(format!("\"{}\" is no host name: not used", node.escape_debug()));
    }
    let status = device["status"]["value"].as_str().unwrap_or("active");
    if status != "active" {
        return inventory.note(format!("{node} is {status}: not used"));
    }
    let on = inventory.nodes.entry(node.to_owned()).or_default();
    match name(&device["rack"]) {
        Some(rack) => {
            on.insert(rack.to_owned());
            let _ = inventory.domain(rack, DomainKind::Rack);
        }
        None => inventory.note(format!("{node} stands in no rack")),
    }
}

/// A cord: of a node into a PDU, or of a PDU into a feed.
fn power_port(inventory: &mut Inventory, port: &Value, _: &[String]) {
    let (Some(device), Some(own)) = (name(&port["device"]), name(port)) else { return };
    let kind = port["connected_endpoints_type"].as_str().unwrap_or_default();
    let ends = port["connected_endpoints"].as_array().map_or(&[][..], Vec::as_slice);
    for end in ends {
        match kind {
            "dcim.poweroutlet" => {
                let Some(pdu) = name(&end["device"]) else { continue };
                let _ = inventory.domain(pdu, DomainKind::Pdu);
                inventory.cords.push((device.to_owned(), pdu.to_owned()));
            }
            "dcim.powerfeed" => {
                let Some(feed) = name(end) else { continue };
                let _ = inventory.domain(feed, DomainKind::Feed);
                inventory.cords.push((device.to_owned(), feed.to_owned()));
            }
            _ => inventory.note(format!("{device}: {own} ends at a \"{kind}\": not used")),
        }
    }
    if ends.is_empty() {
        inventory.note(format!("{device}: {own} is connected to nothing"));
    }
}

fn power_feed(inventory: &mut Inventory, feed: &Value, _: &[String]) {
    let Some(id) = name(feed) else { return };
    let domain = inventory.domain(id, DomainKind::Feed);
    domain.side = match feed["type"]["value"].as_str() {
        Some("primary") => Some("A"),
        Some("redundant") => Some("B"),
        _ => None,
    };
    let positive = |key: &str| feed[key].as_f64().map(f64::abs).filter(|value| *value > 0.0);
    (domain.volts, domain.amps) = (positive("voltage"), positive("amperage"));
    domain.phases = match feed["phase"]["value"].as_str() {
        Some("three-phase") => Some(3),
        Some("single-phase") => Some(1),
        _ => None,
    };
}
