//! Values that cross between JavaScript and Rust, and how a function is exported by hand; the only file of the binding
//! with `unsafe`.
//!
//! Numbers arrive validated: TypeScript has checked type, sign and range, and says so better than could be said here.

#![allow(unsafe_code, reason = "Node-API is C")]

use std::ffi::{CStr, c_void};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use napi::bindgen_prelude::{
    BufferSlice, FromNapiValue, Function, JsObjectValue, Object, ToNapiValue, TypeName, ValidateNapiValue,
    ValueType,
};
use napi::{Env, JsError, Result, check_status, sys as node_api};
use zcio::sys::Pages;

/// A descriptor number from JavaScript, for the duration of one synchronous call.
///
/// JavaScript runs on this thread only, so nothing can close it meanwhile; a number that is not open answers
/// `EBADF`.
pub struct Descriptor(BorrowedFd<'static>);

impl Descriptor {
    fn new(number: RawFd) -> Result<Self> {
        if number < 0 {
            return Err(napi::Error::from_reason("a descriptor is not negative"));
        }
        // SAFETY: not -1; used only within the present call, and the kernel checks whether it is open.
        Ok(Self(unsafe { BorrowedFd::borrow_raw(number) }))
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl TypeName for Descriptor {
    fn type_name() -> &'static str {
        "number"
    }

    fn value_type() -> ValueType {
        ValueType::Number
    }
}

impl ValidateNapiValue for Descriptor {}

impl FromNapiValue for Descriptor {
    unsafe fn from_napi_value(env: node_api::napi_env, value: node_api::napi_value) -> Result<Self> {
        // SAFETY: env and value are what Node handed to the call.
        Self::new(unsafe { i32::from_napi_value(env, value) }?)
    }
}

/// Takes over a descriptor that JavaScript owns and gives away, to close it.
pub fn take_descriptor(number: RawFd) -> OwnedFd {
    // SAFETY: TypeScript passes only descriptors that this package opened, each once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// An offset or a length: a number, or a bigint for what a number cannot hold; none is `null`, `undefined` or negative,
/// which is the quickest to read.
#[derive(Clone, Copy)]
pub struct Offset(pub Option<u64>);

impl TypeName for Offset {
    fn type_name() -> &'static str {
        "number | bigint | null"
    }

    fn value_type() -> ValueType {
        ValueType::Unknown
    }
}

impl ValidateNapiValue for Offset {}

impl FromNapiValue for Offset {
    unsafe fn from_napi_value(env: node_api::napi_env, value: node_api::napi_value) -> Result<Self> {
        let mut number = 0i64;
        // SAFETY: env and value are what Node handed to the call; number outlives it.
        if unsafe { node_api::napi_get_value_int64(env, value, &raw mut number) } == node_api::Status::napi_ok
        {
            return Ok(Self(u64::try_from(number).ok()));
        }
        let mut lossless = false;
        // SAFETY: as above.
        let status =
            unsafe { node_api::napi_get_value_bigint_int64(env, value, &raw mut number, &raw mut lossless) };
        Ok(Self((status == node_api::Status::napi_ok && lossless).then_some(number.cast_unsigned())))
    }
}

/// What does not fit is cut by the call anyway.
pub fn length(count: Offset) -> usize {
    usize::try_from(count.0.unwrap_or(0)).unwrap_or(usize::MAX)
}

/// A result as libuv gives it: what was moved, or the negative error number. Counts are below 2^31.
pub fn count_or_errno(result: zcio::sys::Result<usize>) -> i64 {
    result.map_or_else(|errno| -i64::from(errno.raw()), |count| count.cast_signed() as i64)
}

/// A Buffer over a mapping, whose owner is dropped when the Buffer is collected or detached; `None` where the
/// runtime refuses external memory (Electron, pointer compression) and hands out a copy, useless to vmsplice.
pub fn pages_buffer<'env, T: 'env + AsRef<Pages>>(
    env: &'env Env,
    owner: T,
) -> Result<Option<BufferSlice<'env>>> {
    let (address, length) = (owner.as_ref().as_ptr(), owner.as_ref().len());
    // SAFETY: the mapping lives until the finalizer drops its owner, and nothing else writes to it.
    let buffer = unsafe { BufferSlice::from_external(env, address, length, owner, |_, owner| drop(owner)) }?;
    Ok(ptr::eq(buffer.as_ptr(), address).then_some(buffer))
}

/// A count of bytes as a number of JavaScript's.
#[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
pub const fn exact(bytes: u64) -> f64 {
    bytes as f64
}

/// The arguments of a function that is exported by hand.
pub struct Arguments<const N: usize> {
    env: node_api::napi_env,
    values: [node_api::napi_value; N],
}

impl<const N: usize> Arguments<N> {
    /// One of them, numbered from 0.
    pub fn get<T: FromNapiValue>(&self, number: usize) -> Result<T> {
        // SAFETY: they are what Node handed to the present call.
        unsafe { T::from_napi_value(self.env, self.values[number]) }
    }
}

/// A function that is exported by hand: what it does with its arguments.
type Primitive<const N: usize> = fn(&Arguments<N>) -> Result<i64>;

/// Exports a function of N arguments.
pub fn export<const N: usize>(
    env: &Env,
    exports: &mut Object<'_>,
    name: &'static CStr,
    primitive: Primitive<N>,
) -> Result<()> {
    let mut function = ptr::null_mut();
    let (address, length) = (primitive as *mut c_void, name.count_bytes().cast_signed());
    // SAFETY: the name outlives the call, and `call` takes the address for what it is.
    check_status!(unsafe {
        node_api::napi_create_function(
            env.raw(),
            name.as_ptr(),
            length,
            Some(call::<N>),
            address,
            &raw mut function,
        )
    })?;
    // SAFETY: Node has just made it, a function of this environment.
    let function = unsafe { Function::<(), i64>::from_napi_value(env.raw(), function) }?;
    exports.set_named_property(&name.to_string_lossy(), function)
}

/// A panic ends the process here, as in every function that C calls.
extern "C" fn call<const N: usize>(
    env: node_api::napi_env,
    info: node_api::napi_callback_info,
) -> node_api::napi_value {
    let (mut values, mut count, mut data) = ([ptr::null_mut(); N], N, ptr::null_mut());
    let this = ptr::null_mut();
    // SAFETY: there is room for N values; those that are not given are made `undefined`.
    unsafe {
        node_api::napi_get_cb_info(env, info, &raw mut count, values.as_mut_ptr(), this, &raw mut data);
    }
    // SAFETY: `export` has made it of a function of this type.
    let primitive = unsafe { mem::transmute::<*mut c_void, Primitive<N>>(data) };
    let result = primitive(&Arguments { env, values }).and_then(|result| {
        // SAFETY: as above.
        unsafe { i64::to_napi_value(env, result) }
    });
    result.unwrap_or_else(|error| {
        // SAFETY: nothing has been thrown yet.
        unsafe { JsError::from(error).throw_into(env) };
        ptr::null_mut()
    })
}
