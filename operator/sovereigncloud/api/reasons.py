"""Every reason: the one CamelCase word for programs that a condition, an event or a plan carries.

They are part of the language: people look them up (docs/troubleshooting.md has a section for each, held by a test) and
alerts match on them. So they stand here once, and whoever says something outside says it with one of these.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason. The message beside it tells the case."""

    # Conditions at rest
    AS_DECLARED = "AsDeclared"
    IN_SYNC = "InSync"
    READY = "Ready"

    # Drift, pause, consent
    CORRECTING = "Correcting"
    DRIFTED = "Drifted"
    REPORT_ONLY = "ReportOnly"
    NOT_OBSERVED = "NotObserved"
    DRIFT_DETECTED = "DriftDetected"
    PAUSED_BY_ANNOTATION = "PausedByAnnotation"
    PAUSED_DELETION = "PausedDeletion"
    APPROVAL_REQUIRED = "ApprovalRequired"
    NOT_ACTING = "NotActing"
    TOO_MANY_CHANGES = "TooManyChanges"
    NOT_CONVERGING = "NotConverging"
    TAKING_OVER = "TakingOver"

    # The operator at work
    OBSERVING = "Observing"
    FIRST_ANSWER = "FirstAnswer"
    CREATING = "Creating"
    UPDATING = "Updating"
    REPLACING = "Replacing"
    DELETING = "Deleting"
    CONFIRMING_ABSENCE = "ConfirmingAbsence"
    DELETING_CHILDREN = "DeletingChildren"
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    IN_USE = "InUse"
    NOT_THE_WRITER = "NotTheWriter"
    RETRYING_AFTER_ERROR = "RetryingAfterError"
    CONFLICT = "Conflict"
    QUOTA_EXCEEDED = "QuotaExceeded"
    INTERNAL_ERROR = "InternalError"

    # Spec and references
    INVALID_SPEC = "InvalidSpec"
    NO_PROVIDER = "NoProvider"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - it names one that lacks
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    PLACEMENT_AMBIGUOUS = "PlacementAmbiguous"
    AMBIGUOUS_NAMES = "AmbiguousNames"
    IMAGE_NOT_FOUND = "ImageNotFound"
    NETWORK_NOT_FOUND = "NetworkNotFound"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    SEVERAL_FOUND = "SeveralFound"
    NAME_TAKEN = "NameTaken"
    RENAMED = "Renamed"

    # Whose it is
    OWNED_BY_ANOTHER_INSTALLATION = "OwnedByAnotherInstallation"
    OWNED_BY_ANOTHER_OBJECT = "OwnedByAnotherObject"
    OWNER_CHANGED = "OwnerChanged"
    MARK_LOST = "MarkLost"
    NOT_OUR_OPEN_NEBULA = "NotOurOpenNebula"
    EXTERNALLY_DELETED = "ExternallyDeleted"

    # Endpoints and credentials
    CREDENTIALS_REJECTED = "CredentialsRejected"
    CREDENTIALS_LOST = "CredentialsLost"
    INSECURE_ENDPOINT = "InsecureEndpoint"
    CERTIFICATE_INVALID = "CertificateInvalid"
    NOT_OPEN_NEBULA = "NotOpenNebula"
    NOT_SUPPORTED = "NotSupported"
    UNKNOWN_ENDPOINT = "UnknownEndpoint"

    # Refused outside
    REJECTED = "Rejected"
    NOT_FOUND = "NotFound"
    UNKNOWN_REFERENCE = "UnknownReference"
    INVALID_TEMPLATE = "InvalidTemplate"
    INVALID_BLOCK = "InvalidBlock"
    NOT_IMPLEMENTED = "NotImplemented"
    SERVICE_EXPIRED = "ServiceExpired"
    READ_ONLY = "ReadOnly"

    # Servers, vRack and blocks at OVHcloud
    NO_SUCH_SERVER = "NoSuchServer"
    SERVER_FOUND = "ServerFound"
    NO_SUCH_VRACK = "NoSuchVrack"
    NO_SUCH_BLOCK = "NoSuchBlock"
    INTERFACE_IN_OTHER_VRACK = "InterfaceInOtherVrack"
    BLOCK_IN_OTHER_VRACK = "BlockInOtherVrack"
    VRACK_INCOMPATIBLE = "VrackIncompatible"
    NO_PUBLIC_INTERFACE = "NoPublicInterface"
    READING_INTERFACES = "ReadingInterfaces"
    ATTACHING_INTERFACE = "AttachingInterface"
    DETACHING_INTERFACE = "DetachingInterface"
    ROUTING_BLOCK = "RoutingBlock"
    RENAMING = "Renaming"

    # Reinstallation
    REINSTALLING = "Reinstalling"
    CONFIRMING_REINSTALL = "ConfirmingReinstall"
    VERIFYING_SYSTEM = "VerifyingSystem"
    TASK_RUNNING = "TaskRunning"
    REINSTALL_FAILED = "ReinstallFailed"
    REINSTALL_UNKNOWN = "ReinstallUnknown"
    UNKNOWN_OPERATING_SYSTEM = "UnknownOperatingSystem"
    UNKNOWN_DISK_GROUP = "UnknownDiskGroup"
    UNKNOWN_PARTITION_SCHEME = "UnknownPartitionScheme"
    INCOMPATIBLE_SYSTEM = "IncompatibleSystem"
    INCOMPATIBLE_PARTITIONING = "IncompatiblePartitioning"
    LICENSE_MISSING = "LicenseMissing"
    WIPE_ALL_DISKS_REQUIRED = "WipeAllDisksRequired"

    # Host keys of servers
    READING_HOST_KEY = "ReadingHostKey"
    HOST_KEY_UNPROVEN = "HostKeyUnproven"
    HOST_KEY_CHANGED = "HostKeyChanged"

    # Building a cloud
    WAITING_FOR_SERVERS = "WaitingForServers"
    WAITING_FOR_NETWORKS = "WaitingForNetworks"
    WAITING_FOR_FRONTEND = "WaitingForFrontend"
    INSTALLING = "Installing"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLATION_UNKNOWN = "InstallationUnknown"
    ARCHITECTURE_MISMATCH = "ArchitectureMismatch"
    HOST_NOT_MONITORED = "HostNotMonitored"

    # Images
    APP_NOT_FOUND = "AppNotFound"
    APP_NOT_READY = "AppNotReady"
    MARKETPLACE_EMPTY = "MarketplaceEmpty"
    DATASTORE_NOT_FOUND = "DatastoreNotFound"
    DATASTORE_NOT_MONITORED = "DatastoreNotMonitored"
    IMAGE_NOT_READY = "ImageNotReady"
    IMAGE_BUSY = "ImageBusy"
    IMAGE_DISABLED = "ImageDisabled"
    IMAGE_ERROR = "ImageError"

    # Networks
    ADOPTING = "Adopting"
    NETWORK_NOT_READY = "NetworkNotReady"
    NETWORK_ERROR = "NetworkError"
    UPDATE_FAILURE = "UpdateFailure"

    # Machines
    NO_CAPACITY = "NoCapacity"
    ON_HOLD = "OnHold"
    HOST_NOT_REPORTING = "HostNotReporting"
    CANNOT_SHRINK = "CannotShrink"
    NO_ROOT_DISK = "NoRootDisk"
    RESIZE_REFUSED = "ResizeRefused"

    # States of a machine on its way, in OpenNebula's terms
    INIT = "Init"
    PENDING = "Pending"
    CLONING_DISKS = "CloningDisks"
    STARTING = "Starting"
    PREPARING_DISKS = "PreparingDisks"
    BOOTING = "Booting"
    LIVE_MIGRATING = "LiveMigrating"
    STOPPING = "Stopping"
    SUSPENDING = "Suspending"
    MIGRATING = "Migrating"
    RESUMING = "Resuming"
    RESUBMITTING = "Resubmitting"
    ATTACHING_DISK = "AttachingDisk"
    POWERING_OFF = "PoweringOff"
    TAKING_SNAPSHOT = "TakingSnapshot"
    ATTACHING_NETWORK = "AttachingNetwork"
    DETACHING_NETWORK = "DetachingNetwork"
    SAVING_DISK = "SavingDisk"
    UNDEPLOYING = "Undeploying"
    TAKING_DISK_SNAPSHOT = "TakingDiskSnapshot"
    REVERTING_DISK_SNAPSHOT = "RevertingDiskSnapshot"
    DELETING_DISK_SNAPSHOT = "DeletingDiskSnapshot"
    RESIZING_DISK = "ResizingDisk"
    RESIZING = "Resizing"
    BACKING_UP = "BackingUp"
    RESTORING = "Restoring"
    RELEASING = "Releasing"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    UNKNOWN_STATE = "UnknownState"

    # States of a machine after an operation that failed
    CLONING_FAILURE = "CloningFailure"
    BOOT_FAILURE = "BootFailure"
    MIGRATION_BOOT_FAILURE = "MigrationBootFailure"
    MIGRATION_FAILURE = "MigrationFailure"
    PREPARING_DISKS_FAILURE = "PreparingDisksFailure"
    TERMINATION_FAILURE = "TerminationFailure"
    STOP_FAILURE = "StopFailure"
    UNDEPLOY_FAILURE = "UndeployFailure"
    RESUME_FAILURE = "ResumeFailure"

    # Events of what was done
    CREATED = "Created"
    UPDATED = "Updated"
    ADOPTED = "Adopted"
    TAKEN_OVER = "TakenOver"
    MARKED = "Marked"
    RELEASED = "Released"
    COMPOSED = "Composed"
    RESIZED = "Resized"
    REINSTALLED = "Reinstalled"
    HOST_KEY_PINNED = "HostKeyPinned"
    RANGE_ADDED = "RangeAdded"
    RANGE_RESIZED = "RangeResized"
    RANGE_REMOVED = "RangeRemoved"
    HOST_REGISTERED = "HostRegistered"
    HOST_ENABLED = "HostEnabled"
    HOST_MARKED = "HostMarked"
    CREDENTIALS_GENERATED = "CredentialsGenerated"
    CREDENTIALS_DELETED = "CredentialsDeleted"
    INSTALLATION_STARTED = "InstallationStarted"
    INSTALLATION_RECORDED = "InstallationRecorded"

    # Only in what `sovereign plan` prints
    PLANNED = "Planned"
    CANNOT_PLAN = "CannotPlan"
