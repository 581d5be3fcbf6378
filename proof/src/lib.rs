//! What the `proof` command and the short forms in the tests share.

pub mod children;
pub mod histories;
pub mod hostile;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod kills;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "kills_elsewhere.rs"]
pub mod kills;
pub mod model;
pub mod random;
pub mod report;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod scenes;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod step;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod survivors;
pub mod torture;
pub mod weak;
