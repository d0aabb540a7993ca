package sandbox

import "slices"

// Status is where a runtime is in its life, by the names that OpenHands clients know.
type Status string

// The statuses. The first eight tell of the runtime itself and are set here, in the order of the diagram in package
// actors; the rest are known only to a controller, which reports them.
const (
	StatusStopped           Status = "STATUS$STOPPED"
	StatusBuildingRuntime   Status = "STATUS$BUILDING_RUNTIME"
	StatusStartingRuntime   Status = "STATUS$STARTING_RUNTIME"
	StatusRuntimeStarted    Status = "STATUS$RUNTIME_STARTED"
	StatusSettingWorkspace  Status = "STATUS$SETTING_UP_WORKSPACE"
	StatusSettingGitHooks   Status = "STATUS$SETTING_UP_GIT_HOOKS"
	StatusReady             Status = "STATUS$READY"
	StatusError             Status = "STATUS$ERROR"
	StatusErrorDisconnected Status = "STATUS$ERROR_RUNTIME_DISCONNECTED"
	StatusErrorMemory       Status = "STATUS$ERROR_MEMORY" // killed for want of memory

	StatusLLMAuthentication     Status = "STATUS$ERROR_LLM_AUTHENTICATION"
	StatusLLMServiceUnavailable Status = "STATUS$ERROR_LLM_SERVICE_UNAVAILABLE"
	StatusLLMInternalError      Status = "STATUS$ERROR_LLM_INTERNAL_SERVER_ERROR"
	StatusLLMOutOfCredits       Status = "STATUS$ERROR_LLM_OUT_OF_CREDITS"
	StatusLLMContentPolicy      Status = "STATUS$ERROR_LLM_CONTENT_POLICY_VIOLATION"
	StatusRateLimited           Status = "CHAT_INTERFACE$AGENT_RATE_LIMITED_STOPPED_MESSAGE"
	StatusGitAuthentication     Status = "STATUS$GIT_PROVIDER_AUTHENTICATION_ERROR"
	StatusLLMRetry              Status = "STATUS$LLM_RETRY"
)

// Statuses lists all eighteen.
var Statuses = []Status{
	StatusStopped, StatusBuildingRuntime, StatusStartingRuntime, StatusRuntimeStarted, StatusSettingWorkspace,
	StatusSettingGitHooks, StatusReady, StatusError, StatusErrorDisconnected, StatusErrorMemory,
	StatusLLMAuthentication, StatusLLMServiceUnavailable, StatusLLMInternalError, StatusLLMOutOfCredits,
	StatusLLMContentPolicy, StatusRateLimited, StatusGitAuthentication, StatusLLMRetry,
}

// Reportable says whether a controller may report s: it is one of those that no runtime sets by itself.
func (s Status) Reportable() bool { return slices.Index(Statuses, s) >= 10 }
