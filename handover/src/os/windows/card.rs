//! Names of segments in the page file.
//!
//! Such a segment is a mapping whose name is drawn at random. What it is known by is a second object, the *card*: one
//! page of memory, named after what the user calls the segment, that holds the number the mapping's name is made of. Thus a
//! segment gets its name in one step when it is whole, by a compare-and-swap on the card, and loses it in one while others
//! go on using it. Each user holds the card, and nobody else does: with the last of them it goes, whatever ended it.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{NtOpenDirectoryObject, NtQueryDirectoryObject};
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, STATUS_NO_MORE_ENTRIES, UNICODE_STRING};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW,
    PAGE_READWRITE, UnmapViewOfFile,
};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;

use super::object::{PAGE, Wide, owned};
use super::refusal::last;
use super::security::Security;
use crate::os::{Access, Refusal};

/// Before the names of cards, and of no other objects.
const PREFIX: &str = "handover.";
const GLOBAL: &str = r"Global\";
const LOCAL: &str = r"Local\";

/// Who can find a segment by its name: this session, where a user does not say otherwise, or all of the machine.
fn scope(name: &str) -> (&'static str, &str) {
    match (name.strip_prefix(GLOBAL), name.strip_prefix(LOCAL)) {
        (Some(rest), _) => (GLOBAL, rest),
        (None, Some(rest)) => (LOCAL, rest),
        (None, None) => (LOCAL, name),
    }
}

/// What is wrong with a name on this system that is not on others, if anything is.
pub(crate) fn unfit_in_a_name(name: &str) -> Option<&'static str> {
    let (_, rest) = scope(name);
    if rest.is_empty() {
        Some("it is empty")
    } else if rest.contains('\\') {
        Some(r"it contains a backslash, other than in Global\ or Local\ at its beginning")
    } else {
        None
    }
}

fn card_name(name: &str) -> Wide {
    let (scope, rest) = scope(name);
    Wide::new(format!("{scope}{PREFIX}{rest}"))
}

/// The name of the mapping that has that number, of a segment of that name.
pub(super) fn mapping_name(name: &str, id: u64) -> Wide {
    let (scope, _) = scope(name);
    Wide::new(format!("{scope}handover-segment.{id:016x}"))
}

/// A card, open and mapped.
pub(super) struct Card {
    handle: OwnedHandle,
    page: NonNull<AtomicU64>,
}

impl Card {
    /// # Safety
    /// `handle` is null, or a new handle of a mapping that allows what `rights` say.
    unsafe fn new(handle: HANDLE, rights: u32) -> Result<Card, Refusal> {
        // SAFETY: by the caller's contract.
        let handle = unsafe { owned(handle) }?;
        // SAFETY: the system picks an address where nothing is yet.
        let view = unsafe { MapViewOfFile(handle.as_raw_handle(), rights, 0, 0, PAGE) };
        let page = NonNull::new(view.Value.cast::<AtomicU64>()).ok_or_else(last)?;
        Ok(Card { handle, page })
    }

    fn open(name: &str, access: Access) -> Result<Card, Refusal> {
        let rights = rights(access);
        // SAFETY: the name lives until the call returns.
        unsafe { Card::new(OpenFileMappingW(rights, 0, card_name(name).as_ptr()), rights) }
    }

    fn open_or_create(name: &str, mode: u32) -> Result<Card, Refusal> {
        let security = Security::of_objects(mode)?;
        // SAFETY: all that is pointed to lives until the call returns.
        unsafe {
            let handle = CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                &security.attributes(),
                PAGE_READWRITE,
                0,
                PAGE as u32,
                card_name(name).as_ptr(),
            );
            Card::new(handle, rights(Access::ReadWrite))
        }
    }

    fn id(&self) -> &AtomicU64 {
        // SAFETY: mapped as long as `self` lives, aligned to a page, and touched by atomics only. Of one that is open for
        // reading only it is loaded, never stored.
        unsafe { self.page.as_ref() }
    }

    /// What keeps the name.
    fn into_handle(self) -> io::Result<OwnedHandle> {
        self.handle.try_clone()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.page.as_ptr().cast::<c_void>() };
        // SAFETY: what `MapViewOfFile` returned; references into it borrow from `self`.
        unsafe { UnmapViewOfFile(view) };
    }
}

pub(super) fn rights(access: Access) -> u32 {
    match access {
        Access::ReadWrite => FILE_MAP_READ | FILE_MAP_WRITE,
        Access::ReadOnly => FILE_MAP_READ,
    }
}

/// The mapping that has that number. `Missing` if all who used it are gone.
fn mapping(name: &str, id: u64, access: Access) -> Result<OwnedHandle, Refusal> {
    if id == 0 {
        return Err(Refusal::Missing);
    }
    // SAFETY: the name lives until the call returns, and the handle is ours.
    Ok(unsafe { owned(OpenFileMappingW(rights(access), 0, mapping_name(name, id).as_ptr())) }?)
}

/// A segment that was found by its name.
pub(super) struct Found {
    pub(super) mapping: OwnedHandle,
    pub(super) card: OwnedHandle,
    pub(super) id: u64,
}

pub(super) fn find(name: &str, access: Access) -> Result<Found, Refusal> {
    let card = Card::open(name, Access::ReadOnly)?;
    let id = card.id().load(SeqCst);
    Ok(Found { mapping: mapping(name, id, access)?, card: card.into_handle()?, id })
}

/// Gives the mapping with that number its name, in one step, which lasts as long as what is returned is held by anyone.
pub(super) fn give(name: &str, id: u64, mode: u32) -> Result<OwnedHandle, Refusal> {
    let card = Card::open_or_create(name, mode)?;
    loop {
        let now = card.id().load(SeqCst);
        match mapping(name, now, Access::ReadOnly) {
            Ok(_) => return Err(Refusal::Exists),
            // None was named yet, or all who used the one that was are gone.
            Err(Refusal::Missing) => {}
            Err(Refusal::NotPermitted) => return Err(Refusal::Exists),
            Err(other) => return Err(other),
        }
        if card.id().compare_exchange(now, id, SeqCst, SeqCst).is_ok() {
            return Ok(card.into_handle()?);
        }
    }
}

/// Takes the name away from whatever has it. Who uses that keeps it.
pub(super) fn take_away(name: &str) -> Result<(), Refusal> {
    let card = Card::open(name, Access::ReadWrite)?;
    let id = card.id().load(SeqCst);
    let there = mapping(name, id, Access::ReadOnly).map(drop);
    if let Err(Refusal::Missing) | Ok(()) = there {
        // Fails if it was taken away, or given to another, meanwhile: then that is what was removed just now.
        let _ = card.id().compare_exchange(id, 0, SeqCst, SeqCst);
    }
    there
}

/// The names of the segments in the page file that this session can find, and of whatever else has a name like a card.
pub(super) fn names() -> io::Result<Vec<String>> {
    let mut session = 0;
    // SAFETY: asks for this process's own session; fills in a number of ours.
    if unsafe { ProcessIdToSessionId(std::process::id(), &raw mut session) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut names = Vec::new();
    if session != 0 {
        list(&format!(r"\Sessions\{session}\BaseNamedObjects"), "", &mut names)?;
        list(r"\BaseNamedObjects", GLOBAL, &mut names)?;
    } else {
        list(r"\BaseNamedObjects", "", &mut names)?;
    }
    names.retain(|name| !matches!(find(name, Access::ReadOnly), Err(Refusal::Missing)));
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn counted(text: &Wide) -> UNICODE_STRING {
    let bytes = size_of_val(text.units()) as u16;
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr().cast_mut() }
}

/// Adds the mappings in that folder of the system's objects whose names are those of cards.
fn list(folder: &str, scope: &str, names: &mut Vec<String>) -> io::Result<()> {
    const QUERY: u32 = 1;
    let refused = |status: i32| io::Error::other(format!("{folder} can't be listed (status {status:#x})"));
    let path = Wide::new(folder);
    let path = counted(&path);
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: std::ptr::null_mut(),
        ObjectName: &raw const path,
        Attributes: 0,
        SecurityDescriptor: ptr::null(),
        SecurityQualityOfService: ptr::null(),
    };
    let mut handle = ptr::null_mut();
    // SAFETY: all that is pointed to lives until the call returns.
    let status = unsafe { NtOpenDirectoryObject(&raw mut handle, QUERY, &raw const attributes) };
    if status < 0 {
        return Err(refused(status));
    }
    // SAFETY: it is ours to close.
    let handle = unsafe { owned(handle) }?;
    // One entry at a time, with its texts behind it, each of 32,767 units at most.
    let mut entry = vec![0_u64; 16 * 1024];
    let mut place = 0;
    loop {
        // SAFETY: fills in at most as many bytes as there are.
        let status = unsafe {
            NtQueryDirectoryObject(
                handle.as_raw_handle(),
                entry.as_mut_ptr().cast(),
                size_of_val(&*entry) as u32,
                true,
                false,
                &raw mut place,
                ptr::null_mut(),
            )
        };
        if status == STATUS_NO_MORE_ENTRIES {
            return Ok(());
        }
        if status < 0 {
            return Err(refused(status));
        }
        // SAFETY: a status of success says that the buffer begins with an entry, whose texts are in it, too.
        let (name, kind) = unsafe {
            let [name, kind] = *entry.as_ptr().cast::<[UNICODE_STRING; 2]>();
            (text(&name), text(&kind))
        };
        if kind == "Section"
            && let Some(name) = name.strip_prefix(PREFIX)
        {
            names.push(format!("{scope}{name}"));
        }
    }
}

/// # Safety
/// The system filled it in.
unsafe fn text(text: &UNICODE_STRING) -> String {
    if text.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's contract.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text.Buffer, usize::from(text.Length) / 2) })
}
