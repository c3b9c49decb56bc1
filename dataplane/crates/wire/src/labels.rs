//! An enum whose members carry a label: the name in metrics, in kebab-case. One list is the single source.

/// Declares a `repr(u8)` enum with `COUNT`, `ALL` (in order of the discriminants) and `label()`.
#[macro_export]
macro_rules! labelled {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident {
            $( $(#[$doc:meta])* $member:ident = $label:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        $vis enum $name {
            $( $(#[$doc])* $member, )+
        }

        impl $name {
            /// How many members there are; every discriminant is below it.
            pub const COUNT: usize = Self::ALL.len();
            /// Every member, in order of the discriminants.
            pub const ALL: [Self; [$( $label, )+].len()] = [$( Self::$member, )+];

            /// The metric label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $( Self::$member => $label, )+
                }
            }
        }
    };
}
