//! What is live in the browser. Each island has plain text, a link or a form beneath it that does
//! the work without it.

pub mod compared;
mod countdown;
mod evidence;
mod helpers;
mod late_strip;
mod live_rows;
mod palette;
mod pins;
mod progress;
mod shown;
mod your_browser;

pub use countdown::Countdown;
pub use evidence::CheckEvidence;
pub use helpers::Helpers;
pub use late_strip::LateStrip;
pub use live_rows::{LiveRow, LiveRows};
pub use palette::{Palette, Place};
pub use progress::{Far, Progress};
pub use your_browser::YourBrowser;
