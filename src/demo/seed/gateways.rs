//! The customers' gateways: real certificates, and the folders of the agents that run.

use std::path::Path;

use super::planted::Planted;
use crate::demo::agents::folder_of;
use crate::demo::story::GatewayAgent;
use crate::demo::{DemoError, Story};
use crate::desk::Desk;
use crate::gateway::agent::install;
use crate::model::{Micros, SecretType, time};
use crate::secrets::certificates::{LIFE, Validity};
use crate::store::{Tx, secrets};

/// How long before the story begins the authority was made: before every certificate in it.
const AUTHORITY_AGE: Micros = 400 * time::DAY;

/// Issues the certificate of each gateway, and gives it to its agent, where it has one.
pub(super) async fn plant(
    desk: &Desk,
    tx: &mut Tx,
    customers: &[Planted],
    folder: &Path,
    story: &mut Story,
    now: Micros,
) -> Result<(), DemoError> {
    desk.ensure_authority(tx, now - AUTHORITY_AGE).await?;
    for org in customers {
        for spec in org.spec.secrets {
            let Some(expires_in) =
                spec.expires_in.filter(|_| spec.kind == SecretType::MtlsCertificate)
            else {
                continue;
            };
            let until = now + expires_in;
            let secret = secrets::by_id(tx.conn(), spec.id)
                .await?
                .ok_or(DemoError::Script("a gateway that is not there"))?;
            let validity = Validity { not_before: until - LIFE, not_after: until };
            // One whose certificate has ended was there up to its end.
            let seen = spec.agent.then(|| now.min(until - time::MINUTE));
            let bundle = desk.plant_certificate(tx, &secret, validity, seen).await?;
            if spec.agent {
                let place = folder_of(folder, spec.id).map_err(DemoError::Agent)?;
                install(&place, &bundle).map_err(DemoError::Agent)?;
                story.gateways.push(GatewayAgent {
                    org: org.slug.to_owned(),
                    id: spec.id.to_owned(),
                    label: spec.label.to_owned(),
                });
            }
        }
    }
    Ok(())
}
