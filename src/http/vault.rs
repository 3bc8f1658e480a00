//! What a holder of a token of the embedded vault can ask of it, in the form of HashiCorp Vault's
//! and OpenBao's HTTP API: whether the token works (`lookup-self`), and to let it live longer
//! (`renew-self`). So a rotated token can be tried with `curl`, or with a vault's own client.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::api::caller::bearer_in;
use crate::model::time;
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::secrets::vault::{TokenFacts, VaultError};
use crate::web::app::App;

/// The routes; there are none where another vault is in use.
pub fn router(app: &App) -> Router<Arc<App>> {
    let Some(vault) = app.embedded_vault.clone() else { return Router::new() };
    Router::new()
        .route("/v1/auth/token/lookup-self", get(lookup_self))
        .route("/v1/auth/token/renew-self", post(renew_self).put(renew_self))
        .route("/v1/sys/health", get(health))
        .with_state(vault)
}

/// The token of a request: in `X-Vault-Token`, or as a bearer.
fn token(headers: &HeaderMap) -> Option<SecretString> {
    match headers.get("x-vault-token") {
        Some(value) => value.to_str().ok().map(SecretString::from),
        None => bearer_in(headers),
    }
}

fn errors(status: StatusCode, what: &str) -> Response {
    (status, Json(json!({ "errors": [what] }))).into_response()
}

/// A token that does not work is told nothing but that.
fn denied() -> Response {
    errors(StatusCode::FORBIDDEN, "permission denied")
}

fn answered(data: Value, auth: Value) -> Response {
    Json(json!({ "request_id": "", "lease_id": "", "lease_duration": 0, "renewable": false,
        "data": data, "wrap_info": null, "warnings": null, "auth": auth }))
    .into_response()
}

fn failed(e: &VaultError) -> Response {
    match e {
        VaultError::Refused(why) => errors(StatusCode::BAD_REQUEST, why),
        _ => errors(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

fn meta(facts: &TokenFacts) -> Value {
    facts.rotation_id.as_ref().map_or(Value::Null, |id| json!({ "rotation_id": id }))
}

/// `GET /v1/auth/token/lookup-self`.
async fn lookup_self(State(vault): State<Arc<EmbeddedVault>>, headers: HeaderMap) -> Response {
    let Some(token) = token(&headers) else { return denied() };
    let facts = match vault.lookup_self(&token).await {
        Ok(Some(facts)) => facts,
        Ok(None) => return denied(),
        Err(e) => return failed(&e),
    };
    let mut data = json!({
        // As other vaults: whoever asks has shown it.
        "id": token.expose_secret(),
        "accessor": facts.accessor,
        "display_name": facts.display_name,
        "policies": facts.policies,
        "creation_ttl": facts.ttl_seconds,
        "explicit_max_ttl": facts.explicit_max_ttl_seconds,
        "expire_time": facts.expires_at.map(time::rfc3339),
        "ttl": vault.seconds_left(&facts),
        "meta": meta(&facts),
        "num_uses": facts.uses_left,
        "orphan": facts.orphan,
        "path": "auth/token/create-orphan",
        "renewable": facts.renewable,
        "type": "service",
        "entity_id": "",
    });
    if facts.period_seconds > 0 {
        data["period"] = facts.period_seconds.into();
    }
    answered(data, Value::Null)
}

/// `POST /v1/auth/token/renew-self`: for the token's period from now; an increment that is asked
/// for is not looked at, as with periodic tokens elsewhere.
async fn renew_self(State(vault): State<Arc<EmbeddedVault>>, headers: HeaderMap) -> Response {
    let Some(token) = token(&headers) else { return denied() };
    match vault.renew_self(&token).await {
        Ok(Some(facts)) => answered(
            Value::Null,
            json!({
                "client_token": token.expose_secret(),
                "accessor": facts.accessor,
                "policies": facts.policies,
                "token_policies": facts.policies,
                "metadata": meta(&facts),
                "lease_duration": vault.seconds_left(&facts),
                "renewable": facts.renewable,
                "entity_id": "",
                "token_type": "service",
                "orphan": facts.orphan,
            }),
        ),
        Ok(None) => denied(),
        Err(e) => failed(&e),
    }
}

/// `GET /v1/sys/health`.
async fn health() -> Response {
    Json(json!({ "initialized": true, "sealed": false, "standby": false,
        "version": concat!("keyturn-", env!("CARGO_PKG_VERSION")), "cluster_name": "keyturn" }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::{Method, Request};
    use tower::ServiceExt as _;

    use super::*;
    use crate::desk::rotate::Ask;
    use crate::model::time::{DAY, SECOND};
    use crate::secrets::vault::Vault as _;
    use crate::store::Engine;
    use crate::testing::Bench;

    struct Site {
        bench: Bench,
        router: Router,
    }

    impl Site {
        async fn new(embedded: bool) -> Self {
            let bench = Bench::new(Engine::Sqlite).await;
            let app = App {
                density: Default::default(),
                edges: Default::default(),
                desk: bench.desk.clone(),
                demo: None,
                pkg: None,
                introspection_hash: None,
                intake_hash: None,
                proxies: Default::default(),
                embedded_vault: embedded.then(|| bench.vault.inner.clone()),
                stop: Default::default(),
                readiness: Default::default(),
                at_once: Default::default(),
            };
            Self { router: crate::http::router(Arc::new(app)), bench }
        }

        async fn ask(
            &self,
            method: Method,
            path: &str,
            header: Option<(&str, &str)>,
        ) -> (u16, Value) {
            let mut request = Request::builder().method(method).uri(path);
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let request = request.body(Body::empty()).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            assert!(response.headers().get("cache-control").is_none_or(|v| v == "no-store"));
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        }

        async fn look(&self, token: &str) -> (u16, Value) {
            let header = Some(("x-vault-token", token));
            self.ask(Method::GET, "/v1/auth/token/lookup-self", header).await
        }
    }

    fn refused() -> (u16, Value) {
        (403, json!({ "errors": ["permission denied"] }))
    }

    /// Protects the proof of a rotation: the old token is refused, the new one works.
    #[tokio::test]
    async fn a_token_is_tried_by_looking_itself_up() {
        let site = Site::new(true).await;
        let old = site.bench.vault.first.lock().unwrap().clone().unwrap();
        let (status, before) = site.look(old.expose_secret()).await;
        assert_eq!(status, 200);
        assert_eq!(before["data"]["policies"], json!(["default", "cedar-import"]));
        assert_eq!(before["data"]["period"], 7 * 86_400);
        assert_eq!(before["data"]["id"], old.expose_secret());

        let step = site.bench.self_service("cedar-owner", "vtk_cedar", &Ask::default()).await;
        let new = step.unwrap().value.unwrap();
        assert_eq!(site.look(old.expose_secret()).await, refused());
        let (status, after) = site.look(new.expose_secret()).await;
        assert_eq!(status, 200);
        for same in ["policies", "period", "display_name", "orphan", "type", "creation_ttl"] {
            assert_eq!(after["data"][same], before["data"][same], "{same}");
        }
        let bearer = format!("Bearer {}", new.expose_secret());
        let by_bearer = Some(("authorization", bearer.as_str()));
        let path = "/v1/auth/token/lookup-self";
        assert_eq!(site.ask(Method::GET, path, by_bearer).await.0, 200);
    }

    /// Protects the vault from whoever has no token: nothing is told apart.
    #[tokio::test]
    async fn what_is_no_token_gets_the_same_answer_as_a_dead_one() {
        let site = Site::new(true).await;
        let accessor = site.bench.versions("vtk_cedar").await[0].reference.clone().unwrap();
        for none in ["", "hvs.x", accessor.as_str(), "ktc_of-cedar-owner"] {
            assert_eq!(site.look(none).await, refused(), "{none}");
        }
        let path = "/v1/auth/token/lookup-self";
        assert_eq!(site.ask(Method::GET, path, None).await, refused());
        for method in [Method::POST, Method::PUT] {
            let path = "/v1/auth/token/renew-self";
            assert_eq!(site.ask(method, path, Some(("x-vault-token", "hvs.x"))).await, refused());
        }
        assert_eq!(site.ask(Method::GET, "/v1/sys/health", None).await.1["sealed"], false);
    }

    /// Protects a customer's job: a periodic token lives as long as it is renewed, and no longer.
    #[tokio::test]
    async fn a_renewed_token_lives_for_another_period() {
        let site = Site::new(true).await;
        let token = site.bench.vault.first.lock().unwrap().clone().unwrap();
        let header = Some(("x-vault-token", token.expose_secret()));
        for method in [Method::POST, Method::PUT] {
            site.bench.clock.advance(6 * DAY);
            let (status, renewed) = site.ask(method, "/v1/auth/token/renew-self", header).await;
            assert_eq!(status, 200);
            assert_eq!(renewed["auth"]["lease_duration"], 7 * 86_400);
        }
        site.bench.clock.advance(7 * DAY - SECOND);
        assert_eq!(site.look(token.expose_secret()).await.0, 200);
        site.bench.clock.advance(SECOND);
        assert_eq!(site.look(token.expose_secret()).await, refused());
        let renewal = site.ask(Method::POST, "/v1/auth/token/renew-self", header).await;
        assert_eq!(renewal, refused(), "what has expired does not come back");

        let bare = crate::secrets::vault::NewToken {
            renewable: false,
            period_seconds: 0,
            ttl_seconds: 60,
            ..crate::testing::story::first_token()
        };
        let made = site.bench.vault.inner.create(&bare).await.unwrap();
        let header = Some(("x-vault-token", made.token.expose_secret()));
        let (status, said) = site.ask(Method::POST, "/v1/auth/token/renew-self", header).await;
        assert_eq!((status, said), (400, json!({ "errors": ["lease is not renewable"] })));
    }

    #[tokio::test]
    async fn where_another_vault_is_in_use_there_is_no_such_door() {
        let site = Site::new(false).await;
        let old = site.bench.vault.first.lock().unwrap().clone().unwrap();
        let (status, said) = site.look(old.expose_secret()).await;
        assert_eq!(status, 404);
        assert_eq!(said["type"], "urn:keyturn:not-found", "as with any address that is not there");
    }
}
