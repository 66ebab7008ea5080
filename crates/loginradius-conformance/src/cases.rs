//! The macro by which a module of the suite lists its cases.

/// Exports a module's cases as functions, and as a macro that makes a test of each.
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
