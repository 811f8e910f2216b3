//! Which process is this? A page of memory that the kernel empties in every child (`MADV_WIPEONFORK`) says it. The number of a process does not: a child
//! in a namespace of its own may have its parent's, and so may a grandchild, once the parent is gone.

/// Of the process that made it.
pub(crate) struct Mine {
    page: Option<page::Page>,
    process: u32,
}

impl Mine {
    pub(crate) fn new() -> Self {
        Self { page: page::Page::new(), process: std::process::id() }
    }

    /// Is this that process, and no child of it?
    pub(crate) fn is(&self) -> bool {
        match &self.page {
            Some(page) => page.is_marked(),
            None => std::process::id() == self.process, // before Linux 4.14, and elsewhere
        }
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
#[allow(unsafe_code)]
mod page {
    use std::ffi::{c_int, c_void};
    use std::ptr::{null_mut, NonNull};
    use std::sync::atomic::{AtomicU32, Ordering};

    const SIZE: usize = 4096;
    const PROT_READ_WRITE: c_int = 3;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
    const MADV_WIPEONFORK: c_int = 18;

    extern "C" {
        fn mmap(at: *mut c_void, size: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
        fn madvise(at: *mut c_void, size: usize, advice: c_int) -> c_int;
        fn munmap(at: *mut c_void, size: usize) -> c_int;
    }

    pub(super) struct Page(NonNull<AtomicU32>);

    // SAFETY: the page is used by atomic loads alone once it is marked.
    unsafe impl Send for Page {}
    unsafe impl Sync for Page {}

    impl Page {
        pub(super) fn new() -> Option<Self> {
            // SAFETY: new memory, nobody else's, which mmap aligns and zeroes; given back where it is of no use.
            unsafe {
                let at = mmap(null_mut(), SIZE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
                if at as isize == -1 {
                    return None;
                }
                // An emulator that takes any advice does not follow it.
                if madvise(at, SIZE, -1) == 0 || madvise(at, SIZE, MADV_WIPEONFORK) != 0 {
                    munmap(at, SIZE);
                    return None;
                }
                let page = Self(NonNull::new(at.cast())?);
                page.0.as_ref().store(1, Ordering::Relaxed);
                Some(page)
            }
        }

        pub(super) fn is_marked(&self) -> bool {
            // SAFETY: mapped until it is dropped.
            unsafe { self.0.as_ref() }.load(Ordering::Relaxed) != 0
        }
    }

    impl Drop for Page {
        fn drop(&mut self) {
            // SAFETY: nobody has it any more.
            unsafe { munmap(self.0.as_ptr().cast(), SIZE) };
        }
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))))]
mod page {
    pub(super) struct Page;

    impl Page {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn is_marked(&self) -> bool {
            true
        }
    }
}
