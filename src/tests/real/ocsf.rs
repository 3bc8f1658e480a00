//! Events of the Open Cybersecurity Schema Framework, by the schema itself.

use serde_json::json;

use crate::audit::export::ocsf;
use crate::proof::actions;
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::testing::matrix;
use crate::testing::programs::{pypi_version, python};

const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=sys.argv[2]))
validators, seen, wrong = {}, 0, []
for line in open(sys.argv[1], encoding="utf-8"):
    event = json.loads(line)
    assert event["metadata"]["version"] == sys.argv[2], event["metadata"]
    uid = event["class_uid"]
    if uid not in validators:
        name = schema.lookup_class_name_from_uid(class_uid=uid)
        validators[uid] = Draft202012Validator(schema.get_class_schema(class_name=name, profiles=[]))
    for error in validators[uid].iter_errors(event):
        wrong.append(f"{event['metadata']['event_code']} {list(error.path)}: {error.message[:200]}")
    seen += 1
print(f"{seen} events of {len(validators)} classes, {len(wrong)} wrong")
print("\n".join(sorted(set(wrong))[:40]))
"#;

/// Rows of an action: with everything in them and with nothing that can be left out.
fn rows(action: &str) -> Vec<AuditRow> {
    let actors = [
        ActorType::PlatformAdmin,
        ActorType::PlatformAdminImpersonating,
        ActorType::Auditor,
        ActorType::OrgMember,
        ActorType::System,
    ];
    let mut rows = Vec::new();
    for actor_type in actors {
        for outcome in [Outcome::Success, Outcome::Refused, Outcome::Failed] {
            for whole in [true, false] {
                let text = |text: &str| whole.then(|| text.to_owned());
                let details = json!({ "from": "192.0.2.7", "staff_id": "stf_2", "staff_name": "Ben",
                    "count": 3, "list": ["a", { "b": null }] });
                rows.push(AuditRow {
                    v: 1,
                    log: "platform".into(),
                    seq: 41,
                    id: "01920000-0000-7000-8000-000000000001".into(),
                    at: 1_760_000_000_123_456,
                    action: action.into(),
                    actor_type,
                    actor_id: "stf_1".into(),
                    actor_name: if whole { "Zoë Moreau-Díaz".into() } else { String::new() },
                    org_id: text("org-1"),
                    impersonation_id: text("01920000-0000-7000-8000-0000000000aa"),
                    ticket_ref: text("NOV-4801"),
                    reason: text("rotate stuck vault_token per ticket NOV-4801"),
                    secret_type: text("vault_token"),
                    secret_id: text("vtk_1"),
                    outcome,
                    details: if whole {
                        details.as_object().cloned().unwrap()
                    } else {
                        Default::default()
                    },
                });
            }
        }
    }
    rows
}

async fn validated(lines: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    std::fs::write(&file, lines).unwrap();
    python(VALIDATE, &[&file.display().to_string(), ocsf::VERSION]).await
}

/// Protects a SIEM that drops what does not fit the schema.
#[tokio::test]
async fn an_event_of_every_action_is_valid() {
    let mut all = actions::every();
    all.push("something.new".to_owned());
    let mut lines = String::new();
    for row in all.iter().flat_map(|action| rows(action)) {
        lines.push_str(&ocsf::event(&row, &[0xab; 32]));
        lines.push('\n');
    }
    let said = validated(&lines).await;
    let count = lines.lines().count();
    assert!(said.starts_with(&format!("{count} events of 4 classes, 0 wrong")), "{said}");

    // That the validator would see it: an activity of no class, and a field of none.
    let event = ocsf::event(&rows(actions::PLATFORM_IMPERSONATION_STARTED)[0], &[]);
    let wrong = event.replacen("\"activity_id\":7", "\"activity_id\":8,\"no_such\":1", 1);
    assert_ne!(wrong, event);
    let said = validated(&format!("{wrong}\n")).await;
    assert!(!said.contains(" 0 wrong"), "{said}");

    let version = pypi_version("ocsf-json-schema");
    let tried = format!("{count} events, {} actions, OCSF {}", all.len(), ocsf::VERSION);
    matrix::holds("Exports", "ocsf-json-schema", &version, &tried, "all valid");
}
