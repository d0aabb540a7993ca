package server

// Break makes whatever needs files panic.
func (s *Server) Break() { s.files = nil }
