//! Enumerations with numeric codes on the wire: the types of PDUs, and the macro that defines such enumerations.

/// Defines an enumeration and the conversions to and from its numeric codes. Other codes become `Unknown`.
macro_rules! coded {
    ($(#[$outer:meta])* pub enum $name:ident: $repr:ty { $($(#[$inner:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
            /// A code that the RFC does not define. Create it with `from_code`, so that it is never a defined code.
            Unknown($repr),
        }

        impl $name {
            /// Returns the code on the wire.
            #[must_use]
            pub const fn code(self) -> $repr {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Unknown(code) => code,
                }
            }

            /// Returns the variant of a code.
            #[must_use]
            pub const fn from_code(code: $repr) -> Self {
                match code {
                    $($code => Self::$variant,)+
                    code => Self::Unknown(code),
                }
            }
        }
    };
}

pub(crate) use coded;

coded! {
    /// Type of a PDU: `h.type` (RFC 2741 section 6.1).
    pub enum PduType: u8 {
        /// A subagent opens a session.
        Open = 1,
        /// Either side closes a session.
        Close = 2,
        /// A subagent registers a region.
        Register = 3,
        /// A subagent unregisters a region.
        Unregister = 4,
        /// Reads the named instances.
        Get = 5,
        /// Reads the next instances.
        GetNext = 6,
        /// Reads the next instances repeatedly.
        GetBulk = 7,
        /// First step of a SET: checks the values and reserves resources.
        TestSet = 8,
        /// Second step of a SET: writes the values.
        CommitSet = 9,
        /// Restores the values from before a CommitSet.
        UndoSet = 10,
        /// Last step of a SET: releases resources. It has no response.
        CleanupSet = 11,
        /// A subagent sends a notification.
        Notify = 12,
        /// A subagent checks whether the master is available.
        Ping = 13,
        /// A subagent reserves index values.
        IndexAllocate = 14,
        /// A subagent releases index values.
        IndexDeallocate = 15,
        /// A subagent adds a row to sysORTable.
        AddAgentCaps = 16,
        /// A subagent removes its row from sysORTable.
        RemoveAgentCaps = 17,
        /// The response to any other PDU.
        Response = 18,
    }
}

impl PduType {
    /// Returns whether this PDU type has a context field (RFC 2741 section 6.1.1).
    #[must_use]
    pub const fn has_context(self) -> bool {
        !matches!(
            self,
            Self::Open
                | Self::Close
                | Self::CommitSet
                | Self::UndoSet
                | Self::CleanupSet
                | Self::Response
                | Self::Unknown(_)
        )
    }
}
