using System;
using System.Collections.Generic;

namespace Metabridge
{
    /// <summary>A control of the avatar model and the value that it is moved to; 0 changes nothing.</summary>
    [Serializable]
    public struct AvatarControl
    {
        public string name;
        public float value;

        internal static float Value(List<AvatarControl> controls, string name)
        {
            int index = controls.FindIndex(control => control.name == name);
            return index < 0 ? 0f : controls[index].value;
        }

        /// <summary>Sets or adds a control; false when it has that value already.</summary>
        internal static bool Set(List<AvatarControl> controls, string name, float value)
        {
            int index = controls.FindIndex(control => control.name == name);
            if (index >= 0 && controls[index].value == value) return false;
            var changed = new AvatarControl { name = name, value = value };
            if (index < 0) controls.Add(changed);
            else controls[index] = changed;
            return true;
        }

        // Of two with one name the later counts; one without a name is a line in the inspector that is not filled in yet.
        internal static void Fill(AvatarSettings settings, List<AvatarControl> controls)
        {
            foreach (var control in controls)
            {
                if (!string.IsNullOrEmpty(control.name)) settings.Controls[control.name] = control.value;
            }
        }
    }
}
