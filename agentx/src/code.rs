//! Enumerations that are numbers on the wire.

/// Defines an enumeration, and its codes on the wire in both directions. A number without a name is kept as `Unknown`.
macro_rules! coded {
    ($(#[$outer:meta])* pub enum $name:ident: $repr:ty { $($(#[$inner:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
            /// A number that the RFC does not name. It must not be one that it names: make it with `from_code`.
            Unknown($repr),
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> $repr {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Unknown(code) => code,
                }
            }

            /// What the number on the wire means.
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
