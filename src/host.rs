//! What a command starts from: the configuration, the environment, the tools, and what we may do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::process::{Capabilities, Runner};
use crate::secrets::Redactor;
use crate::secrets::{self, Credentials, Environment, NoCredentials};
use crate::step::Event;
use crate::tools::Programs;

/// The machine, as far as we are concerned.
pub(crate) struct Host {
    pub config: Config,
    /// The environment that we were started with.
    pub environment: Environment,
    /// The keys, or why there are none.
    pub credentials: Result<Credentials, NoCredentials>,
    /// Takes them out of text.
    pub redactor: Redactor,
    /// Where the tools are.
    pub programs: Programs,
    pub capabilities: Capabilities,
    /// Whether we are to stop.
    pub interrupt: Interrupt,
    /// Hears what children do.
    pub sink: Arc<dyn Fn(Event) + Send + Sync>,
    /// The machine's name, for the manifest.
    pub name: String,
}

impl Host {
    /// Looks around; nothing is touched.
    pub(crate) fn new(
        config: Config,
        environment: Environment,
        env_file: Option<&Path>,
        interrupt: Interrupt,
        sink: Arc<dyn Fn(Event) + Send + Sync>,
    ) -> Self {
        let credentials = secrets::find(&environment, env_file, &config.env_file, &interrupt);
        let redactor = secrets::redactor(&environment, credentials.as_ref().ok());
        let programs = Programs::find(
            &config,
            environment
                .get(OsStr::new("PATH"))
                .map(|path| path.as_os_str()),
        );
        let name = nix::unistd::gethostname().map_or_else(
            |_| "unknown".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self {
            config,
            environment,
            credentials,
            redactor,
            programs,
            capabilities: Capabilities::read(),
            interrupt,
            sink,
            name,
        }
    }

    pub(crate) fn runner(&self, setpriv: PathBuf) -> Runner {
        Runner {
            setpriv,
            capabilities: self.capabilities,
            interrupt: self.interrupt.clone(),
            redactor: self.redactor.clone(),
            sink: Arc::clone(&self.sink),
        }
    }
}
