using System;

// Unity's linker keeps an assembly with an attribute of this name whole: protobuf looks its messages' properties up by name.
[assembly: Metabridge.Internal.Preserve]

namespace Metabridge.Internal
{
    [AttributeUsage(AttributeTargets.Assembly)]
    sealed class PreserveAttribute : Attribute
    {
    }
}
