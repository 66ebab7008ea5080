//! How a module of the suite lists its cases.

/// Lists a module's cases once: as functions for the macro of the same name, which makes tests of them.
macro_rules! cases {
    (($dollar:tt) $module:ident $public:ident { $($case:ident,)+ }) => {
        #[doc(hidden)]
        pub mod cases {
            $(pub fn $case<A: $crate::adapter::Adapter>() { super::$case::<A>(); })+
        }

        /// The tests of one part of the suite, for one adapter.
        #[macro_export]
        macro_rules! $module {
            ($dollar adapter:ty) => {
                $(#[test]
                fn $case() {
                    let name = concat!(module_path!(), "::", stringify!($case));
                    $dollar crate::child::run(name, $dollar crate::$public::$case::<$dollar adapter>);
                })+
            };
        }
    };
}
pub(crate) use cases;
