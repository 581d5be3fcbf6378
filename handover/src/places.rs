//! The calls that make and open segments, which are the same for every kind: written once, and with each kind's own words.

/// How it is made and where: of an `Options` with a field `making: Making`, whose `create_in` and `open_or_create_in` take
/// a `Place`.
macro_rules! ways_to_make {
    (
        $Handle:ident, $a:literal, $the:literal,
        mode: $about_mode:literal,
        anonymous: $about_anonymous:literal,
        open_or_create: $about_open_or_create:literal $(,)?
    ) => {
        /// Who may open it, as file permissions. 0600, the user alone, where it is not named.
        #[doc = $about_mode]
        pub fn mode(mut self, mode: u32) -> Options {
            self.making.mode = mode;
            self
        }

        #[doc = concat!("Removes ", $the, " when the last process that has it open leaves. If all are killed at once, it")]
        /// stays until the next one that opens it leaves.
        pub fn goes_with_last_user(mut self) -> Options {
            self.making.goes_with_last_user = true;
            self
        }

        #[doc = concat!("Puts all of ", $the, "'s memory on that NUMA node, whoever uses it. Refused when it is created if the")]
        /// node has no memory, or if the system does not tell nodes apart; and on a disk, which has no say in where its files
        /// are in memory.
        pub fn numa_node(mut self, node: u32) -> Options {
            self.making.numa_node = Some(node);
            self
        }

        /// Asks for huge pages, on which the processor finds its way about faster where memory is large. It is a wish: the
        /// system gives as many as it has, or none, and [`placement`](crate::placement) tells how many. Its length is rounded
        /// up to whole ones, and to gather them takes time.
        pub fn huge_pages(mut self) -> Options {
            self.making.huge_pages = true;
            self
        }

        #[doc = concat!("Creates ", $a, " of that name. Refused if there is something of that name already.")]
        pub fn create<M: Shareable + ?Sized>(&self, name: &str) -> Result<$Handle<M>, Error> {
            self.create_in(&Place::Named(name.into()))
        }

        #[doc = concat!("Creates ", $a, " in a file of that path. Refused if there is something already.")]
        pub fn create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<$Handle<M>, Error> {
            self.create_in(&Place::Path(path.as_ref().into()))
        }

        #[doc = concat!("Creates ", $a, " without a name", $about_anonymous, " to be handed to other processes by file")]
        #[doc = concat!("descriptor; see [`", stringify!($Handle), "::share`].")]
        pub fn anonymous<M: Shareable + ?Sized>(&self) -> Result<$Handle<M>, Error> {
            self.create_in(&Place::Anonymous)
        }

        #[doc = concat!("Opens ", $the, " of that name, or creates it. One that is there ", $about_open_or_create)]
        pub fn open_or_create<M: Shareable + ?Sized>(&self, name: &str) -> Result<$Handle<M>, Error> {
            self.open_or_create_in(&Place::Named(name.into()))
        }

        #[doc = concat!("Opens ", $the, " in that file, or creates it; as [`open_or_create`](Self::open_or_create).")]
        pub fn open_or_create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<$Handle<M>, Error> {
            self.open_or_create_in(&Place::Path(path.as_ref().into()))
        }
    };
}

/// How it is opened and handed on: of a handle with an `in_segment` that takes a `Segment`, and a `segment` that lends it.
macro_rules! ways_to_open {
    ($Handle:ident, $the:literal) => {
        #[doc = concat!("Opens ", $the, " of that name.")]
        pub fn open(name: &str) -> Result<$Handle<M>, Error> {
            Self::in_segment(Segment::open(&Place::Named(name.into()))?)
        }

        #[doc = concat!("Opens ", $the, " in that file.")]
        pub fn open_at(path: impl AsRef<Path>) -> Result<$Handle<M>, Error> {
            Self::in_segment(Segment::open(&Place::Path(path.as_ref().into()))?)
        }

        #[doc = concat!("Opens ", $the, " behind a file descriptor that was inherited, or received over a Unix socket; see")]
        /// [`share`](Self::share).
        #[cfg(unix)]
        pub fn from_fd(descriptor: impl std::os::fd::AsFd) -> Result<$Handle<M>, Error> {
            Self::in_segment(Segment::handed_over(descriptor.as_fd())?)
        }

        /// A file descriptor of its segment, to be handed to another process. It is closed by `exec`, unless you clear that
        /// flag or hand it over as a standard stream.
        #[cfg(unix)]
        pub fn share(&self) -> Result<std::os::fd::OwnedFd, Error> {
            self.segment().share()
        }

        #[doc = concat!("Opens ", $the, " behind a handle that was inherited, or duplicated into this process; see")]
        /// [`share`](Self::share).
        #[cfg(windows)]
        pub fn from_handle(handle: impl std::os::windows::io::AsHandle) -> Result<$Handle<M>, Error> {
            Self::in_segment(Segment::handed_over(handle.as_handle())?)
        }

        /// A handle of its segment, to be given to another process: as a standard stream, or by `DuplicateHandle`. No child
        /// inherits it unasked.
        #[cfg(windows)]
        pub fn share(&self) -> Result<std::os::windows::io::OwnedHandle, Error> {
            self.segment().share()
        }
    };
}

/// How it is looked at by one who does not open it: by name and by path, with whatever `$look` makes of the segment.
macro_rules! ways_to_look {
    (
        $(#[$about:meta])*
        $name:ident, $name_at:ident($($argument:ident: $type:ty)?) -> $told:ty: $look:path
    ) => {
        $(#[$about])*
        pub fn $name(name: &str $(, $argument: $type)?) -> Result<$told, Error> {
            $look(Segment::look(&Place::Named(name.into()))? $(, $argument)?)
        }

        #[doc = concat!("As [`", stringify!($name), "`], of the one in that file.")]
        pub fn $name_at(path: impl AsRef<Path> $(, $argument: $type)?) -> Result<$told, Error> {
            $look(Segment::look(&Place::Path(path.as_ref().into()))? $(, $argument)?)
        }
    };
}

pub(crate) use {ways_to_look, ways_to_make, ways_to_open};
