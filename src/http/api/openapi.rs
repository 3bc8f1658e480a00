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
        super::consent::read, super::consent::write, super::org_log::read, super::introspect::ask,
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
        for name in ["org_credential", "impersonation_token", "service_token"] {
            components
                .add_security_scheme(name, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        }
    }
}

/// `GET /api/v1/openapi.json`.
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
