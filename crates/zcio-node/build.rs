//! Link arguments of the addon.

fn main() {
    napi_build::setup();
    // Our threads may outlive the environment that started them, so their code must stay mapped after
    // `dlclose`. napi-build asks this for glibc; musl never unmaps; said here, it holds for both.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
