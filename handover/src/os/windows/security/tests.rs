use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Security::Authorization::ConvertSecurityDescriptorToStringSecurityDescriptorW;
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, GetKernelObjectSecurity};
use windows_sys::Win32::System::Threading::{CREATE_EVENT_MANUAL_RESET, CreateEventExW, EVENT_ALL_ACCESS};

use super::*;

/// Who may do what with an object that is made with that.
fn let_in(security: &Security) -> String {
    // SAFETY: without a name; all that is pointed to lives until the calls return, and is as large as is said.
    unsafe {
        let event = CreateEventExW(&security.attributes(), ptr::null(), CREATE_EVENT_MANUAL_RESET, EVENT_ALL_ACCESS);
        let event = owned(event).unwrap();
        let (mut descriptor, mut length) = ([0_u64; 128], 0);
        let got = GetKernelObjectSecurity(
            event.as_raw_handle(),
            DACL_SECURITY_INFORMATION,
            descriptor.as_mut_ptr().cast(),
            size_of_val(&descriptor) as u32,
            &raw mut length,
        );
        assert!(got != 0, "{}", io::Error::last_os_error());
        let mut text = ptr::null_mut();
        let told = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.as_mut_ptr().cast(),
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            ptr::null_mut(),
        );
        assert!(told != 0, "{}", io::Error::last_os_error());
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        let told = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast::<c_void>());
        told
    }
}

#[test]
fn the_user_alone_is_let_in_unless_others_are_asked_for() {
    let user = user().unwrap();
    assert!(user.starts_with("S-1-"), "{user}");
    // The first administrator has a name of its own in these texts.
    let names_user = |told: &str| told.contains(&format!(";;;{user})")) || told.contains(";;;LA)");
    for alone in [Security::of_memory(0o600), Security::of_memory(0o660), Security::of_objects(0o640)] {
        let told = let_in(&alone.unwrap());
        assert_eq!(told.matches('(').count(), 1, "{told}");
        assert!(told.starts_with("D:P") && names_user(&told), "{told}");
    }
    for everybody in [Security::of_memory(0o604), Security::of_memory(0o666), Security::of_objects(0o604)] {
        let told = let_in(&everybody.unwrap());
        assert_eq!(told.matches('(').count(), 2, "{told}");
        assert!(names_user(&told) && told.ends_with(";;;WD)"), "{told}");
    }
}
