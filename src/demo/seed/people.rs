//! The demo's staff.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::clock::new_token;
use crate::demo::DemoError;
use crate::demo::story::StaffSignIn;
use crate::desk::Desk;
use crate::model::StaffRole;
use crate::store::Tx;
use crate::store::staff::Staff;

/// Who works at the platform.
const STAFF: [(&str, &str, StaffRole); 3] = [
    ("ada.okafor@platform.example", "Ada Okafor", StaffRole::PlatformAdmin),
    ("grace.lindqvist@platform.example", "Grace Lindqvist", StaffRole::PlatformAdmin),
    ("ines.moreau@platform.example", "Ines Moreau", StaffRole::Auditor),
];

/// Adds the accounts, each with a password of its own that nobody has chosen.
pub(super) async fn plant(
    desk: &Desk,
    tx: &mut Tx,
) -> Result<(Vec<StaffSignIn>, Vec<Staff>), DemoError> {
    let (mut sign_ins, mut accounts) = (Vec::new(), Vec::new());
    for (email, name, role) in STAFF {
        let password = new_token(desk.rng.as_ref());
        let hashed = desk.hash_password(&password, &[email, name])?;
        accounts.push(desk.open_account(tx, email, name, role, &hashed).await?);
        sign_ins.push(StaffSignIn {
            email: email.to_owned(),
            name: name.to_owned(),
            role,
            password: Zeroizing::new(password.expose_secret().to_owned()),
        });
    }
    Ok((sign_ins, accounts))
}
