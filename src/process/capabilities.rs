//! The Linux capabilities of this process, and the `setpriv` words that give a child fewer.
//!
//! Read from /proc rather than with capget(2), which would need unsafe code; lowered by `setpriv` in the
//! child rather than in our thread, so that what a child gets stands in its command line.

use std::fs;

/// The capabilities that the work needs, by their number in capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    DacReadSearch = 2,
    /// Snapshot a subvolume of another owner.
    Fowner = 3,
    /// Delete a snapshot, ask a subvolume for its identity.
    SysAdmin = 21,
}

impl Capability {
    /// The name as capabilities(7) writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::Fowner => "CAP_FOWNER",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        }
    }

    fn setpriv_name(self) -> &'static str {
        match self {
            Self::DacReadSearch => "dac_read_search",
            Self::Fowner => "fowner",
            Self::SysAdmin => "sys_admin",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set(u64);

impl Set {
    /// Whether the set holds this capability.
    pub(crate) fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// Whether it holds none at all.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Our sets, as /proc/self/status shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// What we may do.
    pub effective: Set,
    /// What a child gets without asking.
    pub ambient: Set,
}

impl Capabilities {
    /// Reads them; where /proc is missing, we hold none that we know of.
    pub(crate) fn read() -> Self {
        fs::read_to_string("/proc/self/status")
            .map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    fn parse(status: &str) -> Self {
        let set = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            Set(line
                .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
                .unwrap_or_default())
        };
        Self {
            effective: set("CapEff:"),
            ambient: set("CapAmb:"),
        }
    }
}

/// What a child may do beside its user's ordinary rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// All that we hold: btrfs.
    All,
    /// These and no others: rclone reads every file, the export nothing.
    Only(&'static [Capability]),
}

/// The words for `setpriv`. As uid 0 they drop nothing: root's capabilities come from its user id.
pub(crate) fn setpriv_words(privileges: Privileges, held: Capabilities) -> Vec<String> {
    let Privileges::Only(wanted) = privileges else {
        return Vec::new();
    };
    let mut list = String::from("-all");
    for capability in wanted
        .iter()
        .filter(|capability| held.ambient.has(**capability))
    {
        list.push_str(",+");
        list.push_str(capability.setpriv_name());
    }
    vec![
        format!("--inh-caps={list}"),
        format!("--ambient-caps={list}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nCapEff:\t000000000020000c\nCapBnd:\t000001ffffffffff\nCapAmb:\t000000000020000c\n";

    #[test]
    fn the_sets_of_a_unit_are_read() {
        let held = Capabilities::parse(STATUS);
        for capability in [
            Capability::DacReadSearch,
            Capability::Fowner,
            Capability::SysAdmin,
        ] {
            assert!(held.effective.has(capability) && held.ambient.has(capability));
        }
    }

    #[test]
    fn a_child_keeps_only_what_it_needs_and_we_hold() {
        let words = setpriv_words(
            Privileges::Only(&[Capability::DacReadSearch]),
            Capabilities::parse(STATUS),
        );
        assert_eq!(
            words,
            [
                "--inh-caps=-all,+dac_read_search",
                "--ambient-caps=-all,+dac_read_search"
            ]
        );
        let words = setpriv_words(
            Privileges::Only(&[Capability::DacReadSearch]),
            Capabilities::default(),
        );
        assert_eq!(words, ["--inh-caps=-all", "--ambient-caps=-all"]);
        assert!(setpriv_words(Privileges::All, Capabilities::parse(STATUS)).is_empty());
    }
}
