//! How a case runs: on its own runtime, under a deadline, with skips that are declared and needed.

use std::{future::Future, time::Duration};

/// How a case ended when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    Ran,
    /// The fixture cannot run the case; the reason.
    Skipped(&'static str),
}

/// Far above what any case needs on a busy machine: a case that hangs must fail, not stall a whole run.
const DEADLINE: Duration = Duration::from_secs(180);

/// Runs a case to its end on a runtime of its own.
///
/// # Panics
/// When the case panics, or does not end in time.
pub fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, case).await.unwrap_or_else(|_| panic!("no end within {DEADLINE:?}"))
    })
}

/// Runs a case and holds its skip against the declared ones.
///
/// # Panics
/// When the case fails, skips undeclared, or runs although its skip is declared.
pub fn run(name: &str, skips: &[&str], case: impl Future<Output = Outcome>) {
    let declared = skips.contains(&name);
    match block_on(case) {
        Outcome::Ran => assert!(!declared, "obsolete skip: {name} is declared as skipped and runs"),
        Outcome::Skipped(reason) => assert!(declared, "undeclared skip of {name}: {reason}"),
    }
}

/// Checks that every declared skip names a case.
///
/// # Panics
/// When one does not.
pub fn check_skips(skips: &[&str], cases: &[&str]) {
    for skip in skips {
        assert!(cases.contains(skip), "skip of {skip}, which is no case; cases are {cases:?}");
    }
}

/// Makes a suite macro: one test per case. Not for adopters.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    ($module:ident, $factory:expr, [$($skip:ident),*], $($path:path => $case:ident),* $(,)?) => {
        mod $module {
            #[allow(unused_imports)] // a factory may need nothing from its module
            use super::*;

            const SKIPS: &[&str] = &[$(stringify!($skip)),*];

            #[test]
            fn skips_name_cases() {
                $crate::check_skips(SKIPS, &[$(stringify!($case)),*]);
            }

            $(
                #[test]
                fn $case() {
                    $crate::run(stringify!($case), SKIPS, async {
                        let fixture = $factory.await;
                        $path(fixture).await
                    });
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_skip_is_accepted() {
        run("case", &["case"], async { Outcome::Skipped("cannot") });
        run("case", &["other"], async { Outcome::Ran });
        check_skips(&["case"], &["case", "other"]);
    }

    #[test]
    #[should_panic(expected = "undeclared skip of case: cannot")]
    fn an_undeclared_skip_fails() {
        run("case", &[], async { Outcome::Skipped("cannot") });
    }

    #[test]
    #[should_panic(expected = "obsolete skip: case")]
    fn an_obsolete_skip_fails() {
        run("case", &["case"], async { Outcome::Ran });
    }

    #[test]
    #[should_panic(expected = "which is no case")]
    fn a_skip_of_nothing_fails() {
        check_skips(&["caze"], &["case"]);
    }
}
