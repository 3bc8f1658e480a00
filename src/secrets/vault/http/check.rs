//! What stands in the way of rotations, found without making a token: for `keyturn serve --check`.

use serde_json::json;

use super::HttpVault;
use super::calls::{Call, post};
use super::wire::{self, Capabilities};
use crate::secrets::vault::VaultError;

impl HttpVault {
    pub(super) async fn look_for_problems(&self) -> Vec<String> {
        if let Err(e) = self.token(false).await {
            return vec![e.to_operator()];
        }
        let role = self.token_role.as_deref();
        let create = match role {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create-orphan".to_owned(),
        };
        let needed = [
            ("auth/token/lookup-accessor", &["update"][..]),
            ("auth/token/revoke-accessor", &["update"]),
            ("auth/token/renew-accessor", &["update"]),
            ("auth/token/accessors/", &["list", "sudo"]),
            (create.as_str(), if role.is_some() { &["update"] } else { &["update", "sudo"] }),
        ];
        let paths: Vec<&str> = needed.iter().map(|(path, _)| *path).collect();
        let call = post("sys/capabilities-self", json!({ "paths": paths }));
        let mut problems = Vec::new();
        match self.call(&call).await.and_then(|body| wire::read::<Capabilities>(&body)) {
            Ok(all) => problems.extend(needed.iter().filter_map(|(path, needs)| {
                let has = all.data.get(*path).cloned().unwrap_or_default();
                let lacks: Vec<&str> = needs
                    .iter()
                    .filter(|need| !has.iter().any(|has| has == *need || has == "root"))
                    .copied()
                    .collect();
                (!lacks.is_empty())
                    .then(|| format!("Keyturn may not {} at {path}", lacks.join(" and ")))
            })),
            // Not every token may ask that of itself; then what is needed is tried below.
            Err(VaultError::Denied(_)) => {}
            Err(e) => return vec![e.to_operator()],
        }
        // An accessor that is none: whoever may look accessors up is told so.
        let nobody = post("auth/token/lookup-accessor", json!({ "accessor": "keyturn-check" }));
        match self.call(&nobody).await {
            Ok(_) | Err(VaultError::NoSuchToken | VaultError::Elsewhere) => {}
            Err(e) => problems.push(e.to_operator()),
        }
        // What no vault makes, so that nothing is made: the role is looked for first.
        let none = Call { once: true, ..post(&create, json!({ "num_uses": -1 })) };
        match self.call(&none).await {
            Ok(_) => problems.push(format!("{create} made a token that cannot be")),
            Err(VaultError::Refused(_)) => {}
            Err(e) => problems.push(e.to_operator()),
        }
        if let Some(role) = role {
            problems.extend(self.problems_of_role(role).await);
        }
        problems.dedup();
        problems
    }

    /// What is wrong with a role whatever is asked for. One that cannot be read is found out about
    /// at each rotation.
    async fn problems_of_role(&self, name: &str) -> Option<String> {
        let role = self.read_role(name).await.ok()?;
        let what = if !role.orphan {
            "makes no orphans: set orphan=true".to_owned()
        } else if role.uses != 0 {
            format!("makes tokens that are good for {} uses: set token_num_uses=0", role.uses)
        } else {
            return None;
        };
        Some(format!("the token role {name} {what}"))
    }
}
