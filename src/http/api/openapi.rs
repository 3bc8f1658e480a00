//! The API's description.

use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(title = "Keyturn", description = "Rotation of an org's secrets, by itself or by the platform for it."),
    paths(
        super::rotate::webhook, super::rotate::end_overlap, super::rotate::vault_token, super::rotate::certificate,
        super::consent::read, super::consent::write, super::org_log::read, super::super::logs::own, super::super::logs::for_auditors,
        super::super::logs::org_for_auditors, super::introspect::ask,
        super::intake::file, super::intake::add_message,
        super::keys::jwks, super::keys::log_key, super::keys::openpgp_key
    ),
    components(schemas(super::problem::Problem, super::problem::FailedCheck)),
    modifiers(&Schemes)
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        for name in [
            "org_credential",
            "impersonation_token",
            "service_token",
            "intake_token",
            "auditor_credential",
        ] {
            components
                .add_security_scheme(name, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        }
    }
}

/// `GET /api/v1/openapi.json`.
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What other programs rely on: every path, its methods and its answers. A change shows here.
    #[test]
    fn the_interface_is_what_it_was() {
        let description = serde_json::to_value(Description::openapi()).unwrap();
        let lines: Vec<String> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().iter().map(move |(method, operation)| {
                    let answers: Vec<_> =
                        operation["responses"].as_object().unwrap().keys().cloned().collect();
                    format!("{} {path} -> {}", method.to_uppercase(), answers.join(" "))
                })
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
