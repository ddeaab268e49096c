using System;
using Metabridge.V1;
using UnityEngine;

namespace Metabridge.Sample
{
    /// <summary>The virtual assistant in its plaza: finds the user and follows. One world, one NPC.</summary>
    public sealed class PlazaNpc : NpcAgent
    {
        /// <summary>The world that it walks in; set before the first tick.</summary>
        public PlazaWorld World { get; set; }

        /// <summary>Moves along with the user; may be null.</summary>
        public Transform User { get; set; }

        /// <summary>Number of ticks in which it touched something, which the contact-free plaza does not resolve.</summary>
        public int Contacts { get; private set; }

        /// <summary>Where the last action came from.</summary>
        public Source Source { get; private set; }

        protected override void Observe(NpcGroup tick)
        {
            tick.Observe("observation", World.Observe());
        }

        protected override void Act(AgentActions actions)
        {
            Source = actions.Source;
            World.Step(actions.Continuous("move", 0), actions.Continuous("move", 1));
            if (World.IsTouching()) Contacts++;
            Show();
        }

        /// <summary>Puts the transforms where the world says: Unity is left-handed, so glTF's +X is -X here.</summary>
        public void Show()
        {
            transform.localPosition = new Vector3((float)-World.X, transform.localPosition.y, (float)World.Z);
            transform.localRotation = Quaternion.Euler(0f, (float)(-World.Heading * 180.0 / Math.PI), 0f);
            if (User != null) User.localPosition = new Vector3((float)-World.UserX, User.localPosition.y, (float)World.UserZ);
        }
    }
}
