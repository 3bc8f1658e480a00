//! `keyturn keys rotate-log`.

use std::path::Path;
use std::time::Duration;

use keyturn::desk::keys::forget_log_key;

use super::serve::{desk, read};
use super::staff::by;
use super::start::{prepare, text};

/// Lets a new key sign the logs, and erases the old one's private half from the keys file where
/// it is the first.
pub async fn rotate(config: Option<&Path>) -> Result<(), String> {
    let config = read(config).validate().map_err(|wrong| wrong.join("\nkeyturn: "))?;
    let desk = desk(&config, Duration::ZERO).await?;
    prepare(&desk).await?;
    let mut tx = desk.begin().await.map_err(text)?;
    let step = desk.rotate_log_key(&mut tx, &by()).await;
    let rotated = desk.settle(tx, step).await.map_err(text)?;
    desk.store.close().await;
    println!("{} logs are signed with a new key from now on.", rotated.logs);
    println!("old {}", rotated.old);
    println!("new {}", rotated.new);
    println!(
        "Whoever pinned the old one is led to the new one by its endorsement. Give the new one to witnesses that check signatures, and pin it anew where the old one may have been copied."
    );
    let file = config.keys_file.display();
    match forget_log_key(&config.keys_file, &config.log_origin) {
        Ok(true) => println!(
            "The first key's private half is erased from {file}. Do the same in each copy of it: put this line in the place of log_signing:\n  \"log_anchor\": \"{}\"",
            desk.keys.log.anchor().vkey()
        ),
        Ok(false) => {}
        Err(e) => {
            return Err(format!(
                "the key was rotated, and the first key\u{2019}s private half is still in a file ({e}). In {file}, put this line in the place of log_signing:\n  \"log_anchor\": \"{}\"",
                desk.keys.log.anchor().vkey()
            ));
        }
    }
    Ok(())
}
