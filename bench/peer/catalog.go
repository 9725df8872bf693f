package peer

// Reference is the system in the denominator of every ratio.
const Reference = "Genie"

// Systems lists the measured systems, Genie first.
func Systems() []System {
	return []System{
		Genie(),
		lockedMap(),
		clonedMap(),
		syncMap(),
		xsyncMap(),
		goCache(),
		otterCache(),
		fastCache(),
		memDB(),
		buntMemory(),
		buntLog(),
		boltUnsynced(),
		boltSynced(),
		ChannelActor(),
		protoActor(),
	}
}

// ByName finds a system in the catalog.
func ByName(name string) (System, bool) {
	for _, s := range Systems() {
		if s.Name == name {
			return s, true
		}
	}
	return System{}, false
}
