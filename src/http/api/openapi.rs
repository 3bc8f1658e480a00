//! The API's description.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::problem::SERVICE_NAME;
use crate::web::app::App;

/// OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(title = "Keyturn", description = "Rotation of an org's secrets, by itself or by the platform for it."),
    paths(
        super::rotate::webhook, super::rotate::end_overlap, super::rotate::vault_token, super::rotate::certificate,
        super::consent::show, super::consent::write, super::credentials::list, super::credentials::revoke, super::org_log::show, super::super::logs::own, super::super::logs::for_auditors,
        super::super::logs::org_for_auditors, super::introspect::ask,
        super::intake::file, super::intake::add_message,
        super::keys::jwks, super::keys::log_key, super::keys::openpgp_key
    ),
    components(schemas(super::problem::Problem, super::problem::FailedCheck)),
    modifiers(&Schemes, &Errors)
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let mut basic = Http::new(HttpAuthScheme::Basic);
        basic.description = Some(format!("The user name is {SERVICE_NAME}."));
        components.add_security_scheme("service_basic", SecurityScheme::Http(basic));
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

/// What holds for every operation: errors are problem details, a body may be too large, and the
/// database may not answer.
struct Errors;

impl Modify for Errors {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let api = path.starts_with("/api/");
            let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in methods.into_iter().flatten() {
                describe_errors(operation, api);
            }
        }
    }
}

fn describe_errors(operation: &mut Operation, api: bool) {
    let mut add = |status: &str, description: &str| {
        let problem = RefOr::T(ResponseBuilder::new().description(description).build());
        operation.responses.responses.entry(status.to_owned()).or_insert(problem);
    };
    if operation.request_body.is_some() {
        add("413", "The body is larger than 64 KiB");
    }
    if api && operation.parameters.is_some() {
        add("400", "A parameter does not read as described here");
    }
    add("503", "Something is broken here, and nothing was done");
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && matches!(status.as_bytes().first(), Some(b'4' | b'5'))
        {
            become_problem(response);
        }
    }
}

fn become_problem(response: &mut Response) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response.content = [("application/problem+json".to_owned(), problem)].into_iter().collect();
}

/// The description of this deployment: a ticket's number begins as its tickets do.
fn of_deployment(prefix: &str) -> utoipa::openapi::OpenApi {
    let mut openapi = Description::openapi();
    let schemas = openapi.components.as_mut().map(|c| &mut c.schemas);
    if let Some(RefOr::T(Schema::Object(ticket))) = schemas.and_then(|s| s.get_mut("TicketBody"))
        && let Some(RefOr::T(Schema::Object(number))) = ticket.properties.get_mut("number")
    {
        number.pattern = Some(format!("^{prefix}[0-9]{{1,9}}$"));
    }
    openapi
}

/// `GET /api/v1/openapi.json`.
pub async fn document(State(app): State<Arc<App>>) -> Json<utoipa::openapi::OpenApi> {
    Json(of_deployment(app.desk.tickets.prefix()))
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

    /// What cannot be had from a generator where it is wrong: two operations of one name.
    #[test]
    fn every_operation_has_a_name_of_its_own_and_errors_are_problems() {
        let description = serde_json::to_value(of_deployment("SUP-")).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path}: {name} twice");
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let kinds: Vec<_> =
                        answer["content"].as_object().into_iter().flat_map(|c| c.keys()).collect();
                    let problem = ["application/problem+json"];
                    assert_eq!(status.starts_with(['4', '5']), kinds == problem, "{path} {status}");
                }
            }
        }
        assert!(names.len() > 15);
        let number = &description["components"]["schemas"]["TicketBody"]["properties"]["number"];
        assert_eq!(number["pattern"], "^SUP-[0-9]{1,9}$");
    }
}
